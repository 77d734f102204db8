// The rules by which a process accepts another as a peer. Pure: what was said goes in, a verdict comes out.
//
// Identity: without TLS a peer is who it says it is, if that node is configured; so the peer port belongs on a network
// of its own. With TLS the certificate must be signed by our CA and carry the node's id as a DNS name of its subject
// alternative name, or as its common name if it has no such names: a node's certificate opens no other node's identity.

import type { RejectReason } from '../connection/close-reason.js';
import type { Hello, NodeIdentity } from './hello.js';

/** Names that a peer's certificate carries; undefined without TLS. */
export type CertificateNames = readonly string[] | undefined;

/** What a certificate says of its owner, as `tls.TLSSocket.getPeerCertificate()` gives it. */
export interface CertificateFields {
  readonly subject?: { readonly CN?: string | string[] } | undefined;
  readonly subjectaltname?: string | undefined;
}

/** The node ids that a certificate stands for. */
export function certificateNames(certificate: CertificateFields): readonly string[] {
  const names: string[] = [];
  const alternatives = certificate.subjectaltname ?? '';
  // A name with odd characters is quoted there, and could hold what looks like another entry. No node id needs that.
  if (alternatives.includes('"')) return [];
  for (const entry of alternatives.split(', ')) {
    if (entry.startsWith('DNS:')) names.push(entry.slice('DNS:'.length));
  }
  if (names.length > 0) return names;
  const common = certificate.subject?.CN;
  return typeof common === 'string' ? [common] : (common ?? []);
}

/** Who we are and whom we know. */
export interface HelloRules {
  readonly local: NodeIdentity;
  /** Ids of the other configured nodes. */
  readonly knows: (nodeId: string) => boolean;
}

/** Judges the hello of somebody who dialled us; undefined when it is accepted. */
export function checkDialler(
  hello: Hello,
  rules: HelloRules,
  certificate: CertificateNames,
): RejectReason | undefined {
  return checkIdentity(hello, rules, certificate);
}

/** Judges the answer of the node that we dialled as `expected`; undefined when it is accepted. */
export function checkAcceptor(
  welcome: Hello,
  expected: { readonly nodeId: string; readonly slot: number },
  rules: HelloRules,
  certificate: CertificateNames,
): RejectReason | undefined {
  const reason = checkIdentity(welcome, rules, certificate);
  if (reason !== undefined) return reason;
  if (welcome.nodeId !== expected.nodeId) return 'wrong-peer';
  return welcome.slot === expected.slot ? undefined : 'malformed-hello';
}

function checkIdentity(
  hello: Hello,
  { local, knows }: HelloRules,
  certificate: CertificateNames,
): RejectReason | undefined {
  if (hello.clusterId !== local.clusterId) return 'wrong-cluster';
  if (hello.nodeId === local.nodeId) return 'self';
  if (!knows(hello.nodeId)) return 'unknown-node';
  if (hello.target !== local.nodeId) return 'wrong-target';
  if (certificate !== undefined && !certificate.includes(hello.nodeId)) return 'tls-identity';
  return undefined;
}
