export { LedgerPlugin, LedgerPlugin as plugin } from './ledger-plugin.js';
