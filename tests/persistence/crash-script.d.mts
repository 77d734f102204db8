// Types of crash-script.mjs, which runs without being compiled.
import type { IPersistentBackingStore } from '@datawarehouse/sdk';

export declare const LOG_OPTIONS: { readonly segmentBytes: number; readonly maxRecordBytes: number };
export declare const STORE_OPTIONS: { readonly segmentBytes: number; readonly maxValueBytes: number };
export declare const LOG_TOTAL: number;
export declare const LOG_SCRIPT: readonly { readonly append?: number; readonly drop?: number }[];
export declare const STORE_SCRIPT: readonly {
  run(store: IPersistentBackingStore): Promise<unknown>;
  model(map: Map<string, Buffer>): unknown;
}[];
export declare function recordAt(position: number): Buffer;
