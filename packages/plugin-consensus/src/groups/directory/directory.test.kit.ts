// What the tests of the directory share: parts of directories, and a state that is told commands.

import type { DirectoryAnswer, DirectoryCommand } from './directory-command.js';
import { decodeDirectoryAnswer, encodeDirectoryCommand } from './directory-command.js';
import { DirectoryState } from './directory-state.js';
import type { DirectoryGroup, DirectoryNode, NodeAddresses } from './directory-types.js';

/** The addresses of node `nI`, by the scheme of `dw up`. */
export function addressesOf(n: number): NodeAddresses {
  return {
    peer: `127.0.0.1:${7_499 + n}`,
    http: `http://127.0.0.1:${7_399 + n}`,
    client: `127.0.0.1:${7_599 + n}`,
  };
}

/** Node `nI`, a member whose storage is not known. */
export function nodeOf(n: number): DirectoryNode {
  return { id: `n${n}`, ...addressesOf(n), state: 'member', storageId: null };
}

/** A group of key-values. */
export function groupOf(id: string, voters: readonly string[]): DirectoryGroup {
  const preferredLeader = voters[0] as string;
  return { id, machine: 'key-value', bootstrap: voters, preferredLeader, voters, votersAt: 0 };
}

/** The command that makes a directory of `nodes` nodes with one group of the first three. */
export function createOf(nodes: number): Extract<DirectoryCommand, { readonly op: 'create' }> {
  const list = Array.from({ length: nodes }, (_, at) => nodeOf(at + 1));
  const voters = list.slice(0, 3).map(({ id }) => id);
  return {
    op: 'create',
    after: 0,
    retired: [],
    votersPerGroup: 3,
    nodes: list,
    groups: [groupOf('group-1', voters)],
  };
}

/** A directory and its next index. */
export class TestDirectory {
  readonly state: DirectoryState;
  private index = 0;

  constructor(onChanged?: () => void) {
    this.state = new DirectoryState(onChanged);
  }

  /** Applies a command and gives the answer. */
  tell(command: DirectoryCommand): DirectoryAnswer {
    return this.tellBytes(encodeDirectoryCommand(command));
  }

  /** Applies what may be no command. */
  tellBytes(data: Uint8Array): DirectoryAnswer {
    const entry = { index: ++this.index, term: 1, proposer: 'n1', time: 0, data };
    return decodeDirectoryAnswer(this.state.apply(entry).data);
  }

  /** Ids of the nodes, those that retire with a minus. */
  get nodes(): string {
    return this.state.view.nodes.map(({ id, state }) => (state === 'retiring' ? `-${id}` : id)).join(' ');
  }
}
