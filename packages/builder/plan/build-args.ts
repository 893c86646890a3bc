import type { EnvLookup } from "../dockerfile/shell.ts";

/** Arguments every Dockerfile may use without declaring them, and that never enter a cache key or an image's history. */
const PROXIES = new Set(
  ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"].flatMap((name) => [name, name.toUpperCase()]),
);

/**
 * Build arguments: what the user gave, what the Dockerfile declares, globally and in one stage. A stage sees what it
 * declares itself; a value the user gave beats a default; an ARG without a default takes the global one's value.
 */
export class BuildArgs {
  private readonly meta: Map<string, string | undefined>;
  private readonly declared = new Map<string, string | undefined>();

  private constructor(
    private readonly given: Record<string, string | null | undefined>,
    meta: Map<string, string | undefined>,
    private readonly referenced: Set<string>,
  ) {
    this.meta = meta;
  }

  /** `automatic`: the platform arguments, which FROM sees and stages may declare. */
  static create(given: Record<string, string | null | undefined>, automatic: Record<string, string>): BuildArgs {
    return new BuildArgs(given, new Map(Object.entries(automatic)), new Set());
  }

  /** Arguments of a new stage: the global ones are known, none is declared. */
  forStage(): BuildArgs {
    return new BuildArgs(this.given, this.meta, this.referenced);
  }

  /** An ARG before the first FROM. */
  declareMeta(key: string, value: string | undefined): void {
    this.meta.set(key, value ?? this.meta.get(key));
    this.referenced.add(key);
  }

  /** An ARG within a stage. */
  declare(key: string, value: string | undefined): void {
    this.declared.set(key, value);
    this.referenced.add(key);
  }

  /** A global argument's value, for FROM. */
  metaValue(key: string): string | undefined {
    return this.value(key, this.meta);
  }

  private value(key: string, scope: Map<string, string | undefined>): string | undefined {
    if (!scope.has(key) && !PROXIES.has(key)) return undefined;
    const given = Object.hasOwn(this.given, key) ? this.given[key] : undefined;
    return given ?? scope.get(key) ?? this.meta.get(key);
  }

  /** Looks up a variable as instructions do: the environment first. */
  lookup(env: string[]): EnvLookup {
    const set = envMap(env);
    return (name) => set.get(name) ?? this.value(name, this.declared);
  }

  /** The declared arguments as `key=value` that the environment does not hide, for RUN. Proxies may come undeclared. */
  environment(env: string[]): string[] {
    const set = envMap(env);
    const keys = new Set([...this.declared.keys(), ...PROXIES]);
    const result: string[] = [];
    for (const key of keys) {
      const value = set.has(key) ? undefined : this.value(key, this.declared);
      if (value !== undefined) result.push(`${key}=${value}`);
    }
    return result;
  }

  /** Those of `environment` that make a difference to the result: what was declared, or is no proxy. Sorted. */
  significant(environment: string[]): string[] {
    return environment
      .filter((pair) => {
        const key = pair.slice(0, pair.indexOf("="));
        return this.declared.has(key) || !PROXIES.has(key);
      })
      .sort();
  }

  /** Arguments the user gave that nothing declares; sorted. */
  unused(): string[] {
    return Object.keys(this.given)
      .filter((key) => !this.referenced.has(key) && !PROXIES.has(key))
      .sort();
  }
}

function envMap(env: string[]): Map<string, string> {
  return new Map(
    env.map((pair) => {
      const equals = pair.indexOf("=");
      return equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}
