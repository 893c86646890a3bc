import { CliError, errorText } from "./errors.ts";
import { line } from "./output.ts";

/**
 * Does something for each name and prints the name where it worked; goes on after a failure. Throws CliError with all
 * the failures.
 */
export async function forEach(
  names: readonly string[],
  act: (name: string) => Promise<unknown>,
  options: { parallel?: boolean } = {},
): Promise<void> {
  const failures: string[] = [];
  const settle = async (name: string) => {
    try {
      await act(name);
      return undefined;
    } catch (error) {
      return errorText(error);
    }
  };
  // Many at once, printed in the order they were named.
  const running = options.parallel ? names.map(settle) : undefined;
  for (const [i, name] of names.entries()) {
    const failure = await (running ? running[i] : settle(name));
    if (failure === undefined) line(name);
    else failures.push(failure);
  }
  if (failures.length > 0) throw new CliError(failures.join("\n"));
}
