// Which texts may be the id of a group: they become part of file names.

import { groupIdInvalid } from './errors.js';

const valid = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Refuses a group id that is no safe part of a file's name. @throws DwError `raft-group-id-invalid`. */
export function checkGroupId(groupId: string): void {
  if (!valid.test(groupId)) throw groupIdInvalid(groupId);
}
