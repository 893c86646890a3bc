import { goValue } from "./go-print.ts";
import { builtins, Row, type TemplateFunction } from "./template-functions.ts";
import { type Operand, type Part, type Pipe, parseTemplate, TemplateError } from "./template-parse.ts";
import { typedValue, zeroOf } from "./typed.ts";

export { Row, type TemplateFunction } from "./template-functions.ts";
export { TemplateError } from "./template-parse.ts";

/** A template, ready to be applied to data. */
export interface Template {
  apply(data: unknown): string;
}

export interface TemplateOptions {
  functions?: Record<string, TemplateFunction>;
  /** The data are documents of the engine, with the types that Go has for them; an unknown field is an error. */
  typed?: boolean;
}

/** Reads a Go template. Throws TemplateError. */
export function compileTemplate(source: string, options: TemplateOptions = {}): Template {
  const parts = parseTemplate(source);
  const functions = { ...builtins, ...options.functions };
  checkFunctions(parts, functions);
  return {
    apply(data) {
      const run = new Run(functions, options.typed ?? false, data);
      run.parts(parts, data);
      return run.text;
    },
  };
}

/** Where a message says that something went wrong. */
interface Place {
  at: string;
  pos: string;
}

class Break extends Error {}
class Continue extends Error {}

class Run {
  text = "";
  #functions: Record<string, TemplateFunction>;
  #typed: boolean;
  #scopes: { name: string; value: unknown }[];
  constructor(functions: Record<string, TemplateFunction>, typed: boolean, data: unknown) {
    this.#functions = functions;
    this.#typed = typed;
    this.#scopes = [{ name: "$", value: data }];
  }

  parts(parts: readonly Part[], dot: unknown): void {
    const depth = this.#scopes.length;
    try {
      for (const part of parts) this.#part(part, dot);
    } finally {
      this.#scopes.length = depth;
    }
  }

  #part(part: Part, dot: unknown): void {
    switch (part.kind) {
      case "text":
        this.text += part.text;
        return;
      case "action": {
        const value = this.#pipe(part.pipe, dot);
        if (part.pipe.declare.length === 0) this.text += this.#typed ? typedText(part.pipe, value) : goValue(value);
        return;
      }
      case "if":
      case "with": {
        const depth = this.#scopes.length;
        for (const { pipe, body } of part.branches) {
          const value = this.#pipe(pipe, dot);
          if (truth(value)) {
            this.parts(body, part.kind === "with" ? value : dot);
            this.#scopes.length = depth;
            return;
          }
        }
        if (part.otherwise) this.parts(part.otherwise, dot);
        this.#scopes.length = depth;
        return;
      }
      case "range":
        return this.#range(part, dot);
      case "break":
        throw new Break();
      case "continue":
        throw new Continue();
    }
  }

  #range(part: Extract<Part, { kind: "range" }>, dot: unknown): void {
    const depth = this.#scopes.length;
    const value = this.#evaluate({ ...part.pipe, declare: [] }, dot);
    const entries = iterate(value) ?? this.#cannotRange(part.pipe);
    if (entries.length === 0) {
      if (part.otherwise) this.parts(part.otherwise, dot);
      return;
    }
    const { declare } = part.pipe;
    try {
      for (const [key, item] of entries) {
        this.#scopes.length = depth;
        if (declare.length === 1) this.#scopes.push({ name: declare[0]!, value: item });
        if (declare.length === 2)
          this.#scopes.push({ name: declare[0]!, value: key }, { name: declare[1]!, value: item });
        try {
          this.parts(part.body, item);
        } catch (error) {
          if (!(error instanceof Continue)) throw error;
        }
      }
    } catch (error) {
      if (!(error instanceof Break)) throw error;
    } finally {
      this.#scopes.length = depth;
    }
  }

  #cannotRange(pipe: Pipe): never {
    const operand = pipe.commands.at(-1)![0]!;
    throw this.#failed("pos" in operand ? operand : { at: ".", pos: "1:8" }, "range can't iterate over ");
  }

  #pipe(pipe: Pipe, dot: unknown): unknown {
    const value = this.#evaluate(pipe, dot);
    for (const name of pipe.declare) {
      if (pipe.assign) this.#variable(name).value = value;
      else this.#scopes.push({ name, value });
    }
    return value;
  }

  #evaluate(pipe: Pipe, dot: unknown): unknown {
    let value: unknown;
    pipe.commands.forEach((command, i) => {
      value = this.#command(command, dot, i > 0 ? [value] : []);
    });
    return value;
  }

  #command(command: readonly Operand[], dot: unknown, piped: readonly unknown[]): unknown {
    const [first, ...rest] = command as [Operand, ...Operand[]];
    if (first.kind === "call") {
      const { name } = first;
      if (name === "and" || name === "or") return this.#shortCut(name, rest, dot, piped);
      const args = [...rest.map((operand) => this.#operand(operand, dot)), ...piped];
      try {
        return this.#functions[name]!(...args);
      } catch (error) {
        if (error instanceof TemplateError) throw error;
        throw this.#failed(first, `error calling ${name}: ${(error as Error).message}`);
      }
    }
    const args = [...rest.map((operand) => this.#operand(operand, dot)), ...piped];
    return this.#operand(first, dot, args);
  }

  #shortCut(name: "and" | "or", operands: readonly Operand[], dot: unknown, piped: readonly unknown[]): unknown {
    let value: unknown;
    for (const operand of operands) {
      value = this.#operand(operand, dot);
      if (truth(value) === (name === "or")) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  #operand(operand: Operand, dot: unknown, args: readonly unknown[] = []): unknown {
    switch (operand.kind) {
      case "literal":
        return operand.value;
      case "dot":
        return dot;
      case "field":
        return this.#walk(dot, operand, args);
      case "variable":
        return this.#walk(this.#variable(operand.name).value, operand, args);
      case "call":
        return this.#command([operand], dot, []);
      case "pipe":
        return this.#walk(this.#evaluate(operand.pipe, dot), operand, args);
    }
  }

  #walk(from: unknown, place: Place & { path: readonly string[] }, args: readonly unknown[]): unknown {
    let value = from;
    place.path.forEach((name, i) => {
      const last = i === place.path.length - 1;
      if (value instanceof Row) {
        try {
          value = value.get(name, last ? args : []);
        } catch (error) {
          throw this.#failed(place, (error as Error).message);
        }
        return;
      }
      value = this.#field(value, name, place, last);
    });
    return value;
  }

  #field(value: unknown, name: string, place: Place, last: boolean): unknown {
    if (value === null || value === undefined) {
      if (this.#typed) throw this.#failed(place, `nil data; no entry for key ${JSON.stringify(name)}`);
      return undefined;
    }
    if (typeof value !== "object" || Array.isArray(value)) {
      const type = Array.isArray(value) ? "[]interface {}" : "interface {}";
      throw this.#failed(place, `can't evaluate field ${name} in type ${type}`);
    }
    const fields = value as Record<string, unknown>;
    if (!this.#typed) return Object.hasOwn(fields, name) ? fields[name] : undefined;
    // Go's names differ from the JSON's in case here and there: ID and Id.
    const key = Object.hasOwn(fields, name)
      ? name
      : Object.keys(fields).find((one) => one.toLowerCase() === name.toLowerCase());
    if (key !== undefined) return fields[key] ?? zeroOf(key) ?? null;
    const zero = zeroOf(name);
    if (zero === undefined || (zero === null && !last))
      throw this.#failed(place, `map has no entry for key ${JSON.stringify(name)}`);
    return zero;
  }

  #variable(name: string): { value: unknown } {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      if (this.#scopes[i]!.name === name) return this.#scopes[i]!;
    }
    throw new TemplateError(`template: :1: undefined variable ${JSON.stringify(name)}`);
  }

  #failed(place: Place, message: string): TemplateError {
    return new TemplateError(`template: :${place.pos}: executing "" at <${place.at}>: ${message}`);
  }
}

function typedText(pipe: Pipe, value: unknown): string {
  const operand = pipe.commands.length === 1 && pipe.commands[0]!.length === 1 ? pipe.commands[0]![0]! : undefined;
  const name = operand && "path" in operand ? operand.path.at(-1) : undefined;
  if (value !== undefined && name !== undefined) return typedValue(value, name);
  return goValue(value);
}

/** Whether Go's templates take a value for true: not zero, not empty. */
export function truth(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Row) return true;
  if (typeof value === "object") return Object.keys(value).length > 0;
  return Boolean(value);
}

function iterate(value: unknown): [unknown, unknown][] | undefined {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return [...value.entries()];
  if (typeof value === "number") return Array.from({ length: Math.min(Math.max(0, value), 1e6) }, (_, i) => [i, i]);
  if (typeof value === "object") return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return undefined;
}

function checkFunctions(parts: readonly Part[], functions: Record<string, unknown>): void {
  const pipe = ({ commands }: Pipe): void => {
    for (const operand of commands.flat()) {
      if (operand.kind === "call" && !Object.hasOwn(functions, operand.name)) {
        throw new TemplateError(`template: :1: function ${JSON.stringify(operand.name)} not defined`);
      }
      if (operand.kind === "pipe") pipe(operand.pipe);
    }
  };
  for (const part of parts) {
    if (part.kind === "action" || part.kind === "range") pipe(part.pipe);
    if (part.kind === "if" || part.kind === "with") {
      for (const branch of part.branches) {
        pipe(branch.pipe);
        checkFunctions(branch.body, functions);
      }
    }
    if (part.kind === "range") checkFunctions(part.body, functions);
    if ("otherwise" in part && part.otherwise) checkFunctions(part.otherwise, functions);
  }
}
