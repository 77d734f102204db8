export { DwError, errorMessage, isDwError } from './dw-error.js';
export type { DwErrorOptions } from './dw-error.js';
