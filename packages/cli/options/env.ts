import { readFileSync } from "node:fs";
import { CliError } from "../errors.ts";

/**
 * Environment variables from `--env-file` files and `-e` options. A name alone takes this process's value; without one
 * it is left out of a file, but stays as an option: it takes the image's variable away. Throws CliError.
 */
export function readEnvironment(files: readonly string[], items: readonly string[]): string[] {
  return [...files.flatMap((file) => readFile(file, true)), ...items.map((item) => inherit(item)[0] ?? item)];
}

/** Labels from `--label-file` files and `--label` options. */
export function readLabels(files: readonly string[], items: readonly string[]): string[] {
  return [...files.flatMap((file) => readFile(file, false)), ...items];
}

/** Checks one `-e`: it needs a name. */
export function checkEnv(item: string): string {
  if (item === "" || item.startsWith("=")) throw new Error(`invalid environment variable: ${item}`);
  return item;
}

/** Checks one `--label`: it needs a name. */
export function checkLabel(item: string): string {
  if (item === "" || item.startsWith("=")) throw new Error(`invalid label '${item}': empty name`);
  return item;
}

function readFile(path: string, environment: boolean): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as { code?: string };
    throw new CliError(`open ${path}: ${code === "ENOENT" ? "no such file or directory" : (error as Error).message}`);
  }
  const items: string[] = [];
  for (const raw of text.replace(/^\uFEFF/, "").split("\n")) {
    const line = raw.replace(/\r$/, "").replace(/^\s+/, "");
    if (!line || line.startsWith("#")) continue;
    const name = line.split("=", 1)[0]!;
    if (!name) throw new CliError(`invalid env file (${path}): no variable name on line '${line}'`);
    if (/\s/.test(name)) throw new CliError(`invalid env file (${path}): variable '${name}' contains whitespaces`);
    items.push(...(environment ? inherit(line) : [line]));
  }
  return items;
}

function inherit(item: string): string[] {
  if (item.includes("=")) return [item];
  const value = process.env[item];
  return value === undefined ? [] : [`${item}=${value}`];
}
