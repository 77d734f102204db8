// Checks values from outside (configuration, HTTP bodies, bus messages) against JSON Schemas, on ajv. Schemas may come
// from plugins, so nothing a schema contains may throw at the caller, reach the network, or pile up in memory.

import { Ajv } from 'ajv';
import type { ValidateFunction } from 'ajv';
import { errorMessage } from '@datawarehouse/sdk';
import { schemaIssues } from './schema-issues.js';

/** What a check found. */
export type SchemaCheck<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly issues: string[] };

/** How a checker behaves. */
export interface SchemaCheckerOptions {
  /**
   * Report every error rather than the first. Default true. Leave it off for large input from strangers: a million
   * wrong items would make a million errors.
   */
  readonly allErrors?: boolean;
  /** Turn text into the numbers and booleans the schema wants, as query strings need. Default false. */
  readonly coerce?: boolean;
  /** How the checked value is called in sentences. Default `the value`. */
  readonly root?: string;
}

/**
 * ajv keeps what it compiled for ever, inside itself. After this many schemas the whole of it is let go and begun
 * anew; a host has some hundred schemas that live as long as their plugins, so this is rare.
 */
const MAX_COMPILED = 1_000;

/** What schemas of plugins may need at most. Far more than any sane one. */
const MAX_SCHEMA_CHARACTERS = 256 * 1024;

type Compiled = { readonly validate: ValidateFunction } | { readonly problem: string };

/** Checks values against JSON Schemas. Compiled schemas are kept by identity of the schema object. */
export class SchemaChecker {
  private ajv: Ajv;
  /** Never holds more than {@link MAX_COMPILED} entries. */
  private compiled = new Map<object, Compiled>();
  private readonly allErrors: boolean;
  private readonly coerce: boolean;
  private readonly root: string;

  constructor(options: SchemaCheckerOptions = {}) {
    this.allErrors = options.allErrors ?? true;
    this.coerce = options.coerce ?? false;
    this.root = options.root ?? 'the value';
    this.ajv = this.createAjv();
  }

  /**
   * Checks `value` and, if it passes, gives a copy of it with the schema's defaults filled in. Never throws: a schema
   * that does not compile and a value that cannot be copied are issues too.
   */
  check<T>(schema: object, value: unknown): SchemaCheck<T> {
    const compiled = this.compile(schema);
    if ('problem' in compiled) return { ok: false, issues: [compiled.problem] };
    const { validate } = compiled;
    try {
      const copy = typeof value === 'object' && value !== null ? structuredClone(value) : value;
      if (validate(copy)) return { ok: true, value: copy as T };
      return { ok: false, issues: schemaIssues(validate.errors ?? [], this.root) };
    } catch (thrown) {
      // A value nested deeper than the stack, or one that is not plain data.
      return { ok: false, issues: [`${this.root} cannot be checked: ${errorMessage(thrown)}`] };
    }
  }

  /** Why the schema itself cannot be used, or undefined when it can. */
  problemOf(schema: object): string | undefined {
    const compiled = this.compile(schema);
    return 'problem' in compiled ? compiled.problem : undefined;
  }

  private createAjv(): Ajv {
    return new Ajv({
      allErrors: this.allErrors,
      coerceTypes: this.coerce,
      useDefaults: true,
      // parentSchema and data are what sentences about an error are made of.
      verbose: true,
      strict: false,
      logger: false,
      // Two plugins may use the same $id, and so may one plugin before and after a reload.
      addUsedSchema: false,
    });
  }

  private compile(schema: object): Compiled {
    const known = this.compiled.get(schema);
    if (known !== undefined) return known;
    if (this.compiled.size >= MAX_COMPILED) {
      this.compiled = new Map();
      this.ajv = this.createAjv();
    }
    const compiled = this.tryCompile(schema);
    this.compiled.set(schema, compiled);
    return compiled;
  }

  private tryCompile(schema: object): Compiled {
    try {
      // Taking the JSON text and not the object leaves getters, cycles and prototypes of a plugin's object behind.
      const text = JSON.stringify(schema);
      if (text.length > MAX_SCHEMA_CHARACTERS) {
        return { problem: `the schema is larger than ${MAX_SCHEMA_CHARACTERS} characters` };
      }
      const validate = this.ajv.compile(JSON.parse(text) as object);
      if ('$async' in validate)
        return { problem: 'the schema is asynchronous ("$async"), which is not allowed' };
      return { validate };
    } catch (thrown) {
      return { problem: `the schema cannot be used: ${errorMessage(thrown).slice(0, 500)}` };
    }
  }
}
