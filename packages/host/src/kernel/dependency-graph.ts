// Who needs whom, worked out from manifests alone: which plugin provides what, and what stands in the way. Pure.

/** What the graph needs to know of a plugin. */
export interface DependencyNode {
  readonly id: string;
  readonly provides: readonly string[];
  readonly requires: readonly string[];
  /** Services that it uses where there are any. */
  readonly optional?: readonly string[];
}

/** Why a plugin cannot be started as things are. */
export type DependencyProblem =
  | { readonly kind: 'duplicate'; readonly service: string; readonly providers: readonly string[] }
  | { readonly kind: 'missing'; readonly service: string }
  | { readonly kind: 'cycle'; readonly loop: readonly string[] };

/** What {@link analyseDependencies} found. */
export interface DependencyGraph {
  /** Provider by service. A service that two provide has none. */
  readonly providers: ReadonlyMap<string, string>;
  /** Direct requirements by plugin: service and its provider. */
  readonly needs: ReadonlyMap<string, readonly { readonly service: string; readonly provider: string }[]>;
  /**
   * What plugins use and can do without, by plugin. An edge that would close a loop is left out: it gives an order to
   * starting and stopping, and no plugin is kept down for the sake of an order.
   */
  readonly uses: ReadonlyMap<string, readonly { readonly service: string; readonly provider: string }[]>;
  /** First problem of each plugin that has one. */
  readonly problems: ReadonlyMap<string, DependencyProblem>;
}

type Edges = ReadonlyMap<string, readonly string[]>;

function indexProviders(nodes: readonly DependencyNode[]): Map<string, string[]> {
  const index = new Map<string, string[]>();
  for (const { id, provides } of nodes) {
    for (const service of new Set(provides)) index.set(service, [...(index.get(service) ?? []), id]);
  }
  return index;
}

/** The shortest way from `start` back to itself, or undefined. Breadth first, so the first found is the shortest. */
function shortestLoop(start: string, edges: Edges): readonly string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (let head = 0; head < queue.length; head++) {
    const at = queue[head] ?? start;
    for (const next of edges.get(at) ?? []) {
      if (next === start) {
        const path = [start];
        for (let step = at; step !== start; step = cameFrom.get(step) ?? start) path.unshift(step);
        return [start, ...path];
      }
      if (!cameFrom.has(next)) {
        cameFrom.set(next, at);
        queue.push(next);
      }
    }
  }
  return undefined;
}

function reaches(from: string, goal: string, edges: readonly Edges[]): boolean {
  const seen = new Set([from]);
  for (const at of seen) {
    if (at === goal) return true;
    for (const some of edges) for (const next of some.get(at) ?? []) seen.add(next);
  }
  return false;
}

function usesOf(
  nodes: readonly DependencyNode[],
  providers: ReadonlyMap<string, string>,
  needed: Edges,
): DependencyGraph['uses'] {
  const wished = nodes.map(({ id, optional }) => {
    const list = [...new Set(optional)].flatMap((service) => {
      const provider = providers.get(service);
      return provider === undefined ? [] : [{ service, provider }];
    });
    return { id, list };
  });
  const wishes: Edges = new Map(
    wished.map(({ id, list }) => [id, list.map(({ provider }) => provider)] as const),
  );
  return new Map(
    wished.map(({ id, list }) => [
      id,
      list.filter(({ provider }) => !reaches(provider, id, [needed, wishes])),
    ]),
  );
}

/** Works out providers, needs, uses and problems. The answer depends on the set of nodes, not on their order. */
export function analyseDependencies(input: readonly DependencyNode[]): DependencyGraph {
  const nodes = [...input].sort((a, b) => (a.id < b.id ? -1 : 1));
  const index = indexProviders(nodes);
  const providers = new Map<string, string>();
  const problems = new Map<string, DependencyProblem>();
  const note = (id: string, problem: DependencyProblem): void => {
    if (!problems.has(id)) problems.set(id, problem);
  };
  for (const [service, ids] of index) {
    const [first] = ids;
    if (ids.length === 1 && first !== undefined) providers.set(service, first);
    else for (const id of ids) note(id, { kind: 'duplicate', service, providers: ids });
  }
  const needs = new Map<string, { service: string; provider: string }[]>();
  const edges = new Map<string, string[]>();
  for (const { id, requires } of nodes) {
    const list: { service: string; provider: string }[] = [];
    for (const service of new Set(requires)) {
      // With two providers, either stands for both here: the plugin is blocked by whichever is named.
      const provider = providers.get(service) ?? index.get(service)?.[0];
      if (provider === undefined) note(id, { kind: 'missing', service });
      else list.push({ service, provider });
    }
    needs.set(id, list);
    edges.set(
      id,
      list.map((need) => need.provider),
    );
  }
  for (const { id } of nodes) {
    const loop = shortestLoop(id, edges);
    if (loop !== undefined) note(id, { kind: 'cycle', loop });
  }
  return { providers, needs, uses: usesOf(nodes, providers, edges), problems };
}

/** `ids` and everything that needs any of them, directly or through others. */
export function withDependents(ids: Iterable<string>, graph: DependencyGraph): ReadonlySet<string> {
  const found = new Set(ids);
  for (let before = -1; before !== found.size;) {
    before = found.size;
    for (const [id, needs] of graph.needs)
      if (needs.some(({ provider }) => found.has(provider))) found.add(id);
  }
  return found;
}
