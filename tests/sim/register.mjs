// Lets Node.js run the simulator from its TypeScript sources: `node --conditions=source --import ./tests/sim/register.mjs`.
import { register } from 'node:module';

register('./load-typescript.mjs', import.meta.url);
