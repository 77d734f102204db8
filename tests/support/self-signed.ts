// Makes certificates for 127.0.0.1 and their keys, so that tests of TLS need no tool of the machine. Only what such a
// certificate needs of ASN.1 DER is written here.

import type { KeyObject } from 'node:crypto';
import { generateKeyPairSync, sign } from 'node:crypto';

const SEQUENCE = 0x30;
const SET = 0x31;

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  const digits = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 | digits.length]), digits, content]);
}

const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const integer = (value: number): Buffer => der(0x02, Buffer.from([value]));
const utcTime = (time: Date): Buffer =>
  der(0x17, Buffer.from(`${time.toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`));

const ECDSA_WITH_SHA256 = der(SEQUENCE, oid('2a8648ce3d040302'));
const COMMON_NAME = oid('550403');
const SUBJECT_ALT_NAME = oid('551d11');
const BASIC_CONSTRAINTS = oid('551d13');

function pem(label: string, content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** A certificate and its key; both PEM. */
export interface Certified {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate says of its owner. */
interface Subject {
  readonly commonName: string;
  /** Whether its owner may sign others. */
  readonly authority: boolean;
  readonly dnsNames?: readonly string[];
}

interface Issuer {
  readonly commonName: string;
  readonly privateKey: KeyObject;
}

const nameOf = (commonName: string): Buffer =>
  der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(0x0c, Buffer.from(commonName)))));
let serial = 0;

/** Valid from yesterday until tomorrow, for 127.0.0.1; signed by itself without an issuer. */
function certify(subject: Subject, issuer?: Issuer): Certified & { readonly privateKey: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const day = 24 * 60 * 60 * 1_000;
  const validity = der(SEQUENCE, utcTime(new Date(Date.now() - day)), utcTime(new Date(Date.now() + day)));
  const names = (subject.dnsNames ?? []).map((name) => der(0x82, Buffer.from(name, 'latin1')));
  const alternatives = der(SEQUENCE, der(0x87, Buffer.from([127, 0, 0, 1])), ...names);
  const constraints = subject.authority ? der(SEQUENCE, der(0x01, Buffer.from([0xff]))) : der(SEQUENCE);
  const extensions = der(
    SEQUENCE,
    der(SEQUENCE, SUBJECT_ALT_NAME, der(0x04, alternatives)),
    der(SEQUENCE, BASIC_CONSTRAINTS, der(0x04, constraints)),
  );
  serial = (serial % 127) + 1;
  const body = der(
    SEQUENCE,
    der(0xa0, integer(2)),
    integer(serial),
    ECDSA_WITH_SHA256,
    nameOf(issuer?.commonName ?? subject.commonName),
    validity,
    nameOf(subject.commonName),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  );
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey);
  const cert = der(SEQUENCE, body, ECDSA_WITH_SHA256, der(0x03, Buffer.from([0]), signature));
  return {
    cert: pem('CERTIFICATE', cert),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    privateKey,
  };
}

/** A certificate that signs itself, valid from yesterday until tomorrow, and its key. */
export function selfSigned(): Certified {
  const { cert, key } = certify({ commonName: 'test', authority: true });
  return { cert, key };
}

/** Signs certificates for nodes. */
export interface CertificateAuthority {
  readonly cert: string;
  /** A certificate for 127.0.0.1 with this common name, and these DNS names besides. */
  issue(commonName: string, dnsNames?: readonly string[]): Certified;
}

/** An authority of its own. */
export function certificateAuthority(commonName: string): CertificateAuthority {
  const { cert, privateKey } = certify({ commonName, authority: true });
  return {
    cert,
    issue: (owner, dnsNames = []) => {
      const issued = certify({ commonName: owner, authority: false, dnsNames }, { commonName, privateKey });
      return { cert: issued.cert, key: issued.key };
    },
  };
}
