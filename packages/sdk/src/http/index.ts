export type { HttpMethod, RouteDefinition, RouteRequest, RouteResponse } from './route.js';
