// The door of the resilience plugin.

export type { CircuitState, ResilienceEvent, ResilienceListener } from './engine/events.js';
export type { StrategyType } from './engine/layer.js';
