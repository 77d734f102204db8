import { describe, expect, it } from 'vitest';
import { parsePeerAddress } from './peer-address.js';

describe('a peer address', () => {
  it.each([
    ['127.0.0.1:7500', { host: '127.0.0.1', port: 7500 }],
    ['node-1.example:1', { host: 'node-1.example', port: 1 }],
    ['[::1]:65535', { host: '::1', port: 65_535 }],
  ])('%s', (address, endpoint) => {
    expect(parsePeerAddress('n2', address)).toEqual(endpoint);
  });

  it.each(['', 'host', 'host:', ':1', 'host:0', 'host:65536', '::1:7500', 'a b:1', 'host:1x'])(
    'refuses %j',
    (address) => {
      expect(() => parsePeerAddress('n2', address)).toThrowError(
        expect.objectContaining({ code: 'peer-address-invalid' }),
      );
    },
  );
});
