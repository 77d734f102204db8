export { HelloPlugin, HelloPlugin as plugin } from './hello-plugin.js';
