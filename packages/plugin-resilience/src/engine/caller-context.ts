// The asynchronous context of a caller: what it keeps in an AsyncLocalStorage (a trace, a tenant, the plugin that is to
// blame). A call goes on in timers and in the promises of other calls; its action must not see their contexts.

import { AsyncResource } from 'node:async_hooks';

/** Nobody tells when a call is forgotten, and nothing is held that would have to be let go of. */
const OPTIONS = { requireManualDestroy: true } as const;

/** The context of whoever makes it. Costs about a tenth of a microsecond, so calls make it only when they may stray. */
export class CallerContext extends AsyncResource {
  constructor() {
    super('DwResilienceCall', OPTIONS);
  }
}
