// Takes a proposal in, if the node has room for it: wraps it for the log and counts what it takes from the node's budget.

import { overloaded } from '../errors.js';
import type { EntryKind } from './entry-envelope.js';
import { encodeEnvelope } from './entry-envelope.js';
import type { GroupHost } from './group-host.js';
import type { Proposal, ProposalResult } from './proposal.js';

const NO_DATA = new Uint8Array(0);

/** Takes a command or opaque data in; it waits to be appended. @throws DwError `overloaded`. */
export function admitProposal(
  host: GroupHost,
  kind: EntryKind,
  data: Uint8Array,
  deadline: number,
  done: (result: ProposalResult) => void,
): Proposal {
  const { maxPendingProposals, maxPendingProposalBytes } = host.limits;
  const { budget } = host;
  const proposalId = host.nextProposalId();
  const time = host.clock.wallTime();
  const envelope = encodeEnvelope({ kind, proposalId, proposer: host.nodeId, time, data });
  if (!budget.fits(envelope.length, maxPendingProposals, maxPendingProposalBytes)) {
    const limit = budget.count >= maxPendingProposals ? 'maxPendingProposals' : 'maxPendingProposalBytes';
    throw overloaded('writes', limit, 1_000);
  }
  budget.take(envelope.length);
  return proposal(host, proposalId, envelope, deadline, done);
}

/** Takes a membership change in, which is in the log already. There is one at a time, so it needs no bound. */
export function admitChange(
  host: GroupHost,
  deadline: number,
  done: (result: ProposalResult) => void,
): Proposal {
  host.budget.take(0);
  return proposal(host, host.nextProposalId(), NO_DATA, deadline, done);
}

function proposal(
  host: GroupHost,
  proposalId: number,
  data: Uint8Array,
  deadline: number,
  done: (result: ProposalResult) => void,
): Proposal {
  const submittedAt = host.clock.now();
  return { proposalId, data, deadline, submittedAt, state: 'queued', index: 0, term: 0, done };
}
