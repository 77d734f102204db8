// The certificate, key and CA of the peer listener, read and checked once at the start.

import { readFile } from 'node:fs/promises';
import type { TlsFiles } from '@datawarehouse/sdk';
import { createSecureContext } from 'node:tls';
import type { SecureVersion } from 'node:tls';
import { peerTlsUnreadable } from './errors.js';

/** Options for both ends of a mutual TLS connection. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  readonly minVersion: SecureVersion;
}

/**
 * Reads PEM files, or takes PEM texts as they are.
 * @throws DwError `peer-tls-unreadable`, naming the file.
 */
export async function readTlsMaterial(files: TlsFiles): Promise<TlsMaterial> {
  const material: TlsMaterial = {
    cert: await readPem(files.cert),
    key: await readPem(files.key),
    ca: await readPem(files.ca),
    minVersion: 'TLSv1.2',
  };
  try {
    createSecureContext(material);
  } catch (thrown) {
    throw peerTlsUnreadable(files.key.startsWith('-----') ? '(PEM text)' : files.key, thrown);
  }
  return material;
}

async function readPem(file: string): Promise<string> {
  if (file.startsWith('-----BEGIN ')) return file;
  try {
    return await readFile(file, 'utf8');
  } catch (thrown) {
    throw peerTlsUnreadable(file, thrown);
  }
}
