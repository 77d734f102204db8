// The topics of this plugin: what it listens to and what it says.

import { Type, defineTopic } from '@datawarehouse/sdk';

/** Somebody is to be greeted. */
export const Greet = defineTopic({
  name: 'hello.greet',
  description: 'Somebody is to be greeted',
  payload: Type.Object({ name: Type.String() }),
  overflow: 'drop-newest',
});

/** Somebody was greeted. */
export const Greeted = defineTopic({
  name: 'hello.greeted',
  description: 'Somebody was greeted',
  payload: Type.Object({ text: Type.String(), count: Type.Integer() }),
});
