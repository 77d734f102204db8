// Writes metrics in the Prometheus text format (0.0.4). Values are counted elsewhere, in plain fields; this only
// writes them down, so that counting costs nothing on hot paths.

/** One value with its labels. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
  /** `_bucket`, `_sum` or `_count`, for histograms. */
  readonly suffix?: string;
}

/** A metric with its values. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly Sample[];
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}

function labelText(labels: Readonly<Record<string, string>> | undefined): string {
  const pairs = Object.entries(labels ?? {});
  if (pairs.length === 0) return '';
  return `{${pairs.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',')}}`;
}

/** A name that Prometheus takes: everything but letters, digits and `_` becomes `_`. */
export function metricName(...parts: readonly string[]): string {
  const name = parts.join('_').replaceAll(/[^A-Za-z0-9_]/g, '_');
  return /^[0-9]/.test(name) ? `_${name}` : name;
}

/** The text of all metrics. A name that comes twice is written once: a repeated one would spoil the whole page. */
export function metricsText(metrics: Iterable<Metric>): string {
  const lines: string[] = [];
  const seen = new Set<string>();
  for (const { name, help, type, samples } of metrics) {
    if (seen.has(name) || samples.length === 0) continue;
    seen.add(name);
    lines.push(
      `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', ' ')}`,
      `# TYPE ${name} ${type}`,
    );
    for (const { labels, value, suffix } of samples) {
      lines.push(`${name}${suffix ?? ''}${labelText(labels)} ${numberText(value)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
