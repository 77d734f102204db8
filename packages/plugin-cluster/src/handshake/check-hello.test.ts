import { describe, expect, it } from 'vitest';
import { identity } from '../testing.test.kit.js';
import { certificateNames, checkAcceptor, checkDialler } from './check-hello.js';
import type { Hello } from './hello.js';

const rules = { local: identity('n1'), knows: (id: string) => id === 'n2' || id === 'n3' };
const hello: Hello = { ...identity('n2'), target: 'n1', lane: 'bulk', slot: 2, maxPayload: 100 };

describe('who dials us', () => {
  it.each([
    [undefined, {}, undefined],
    ['wrong-cluster', { clusterId: 'other' }, undefined],
    ['unknown-node', { nodeId: 'n9' }, undefined],
    ['self', { nodeId: 'n1' }, undefined],
    ['wrong-target', { target: 'n3' }, undefined],
    [undefined, {}, ['n2']],
    ['tls-identity', {}, ['n3']],
    ['tls-identity', {}, []],
  ])('%s: %j with certificate names %j', (reason, fields, names) => {
    expect(checkDialler({ ...hello, ...fields }, rules, names)).toBe(reason);
  });
});

describe('whom we dialled', () => {
  it('must be who we dialled, on the connection we opened', () => {
    const expected = { nodeId: 'n2', slot: 2 };
    expect(checkAcceptor(hello, expected, rules, undefined)).toBeUndefined();
    expect(checkAcceptor({ ...hello, nodeId: 'n3' }, expected, rules, undefined)).toBe('wrong-peer');
    expect(checkAcceptor({ ...hello, slot: 1 }, expected, rules, undefined)).toBe('malformed-hello');
  });
});

describe('the names of a certificate', () => {
  it('are its DNS names, or its common name if it has none', () => {
    const subject = { CN: 'n1' };
    expect(certificateNames({ subject, subjectaltname: 'DNS:n2, IP Address:127.0.0.1, DNS:n3' })).toEqual([
      'n2',
      'n3',
    ]);
    expect(certificateNames({ subject })).toEqual(['n1']);
    expect(certificateNames({ subject: { CN: ['n1', 'n2'] } })).toEqual(['n1', 'n2']);
    expect(certificateNames({})).toEqual([]);
  });

  it('are none when one is quoted, since it could hold what looks like another', () => {
    expect(certificateNames({ subjectaltname: 'DNS:"x, DNS:n2, DNS:y"' })).toEqual([]);
  });
});
