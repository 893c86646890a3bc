import type { OciHook, OciState } from "@gantry/spec";

/** Runs hooks outside the container, with the state on stdin. Throws where one fails or takes too long. */
export async function runHooks(hooks: readonly OciHook[] | undefined, state: OciState): Promise<void> {
  for (const hook of hooks ?? []) {
    const env = Object.fromEntries((hook.env ?? []).map((entry) => entry.split(/=(.*)/s).slice(0, 2)));
    const child = Bun.spawn({
      cmd: [hook.path, ...(hook.args ?? []).slice(1)],
      argv0: hook.args?.[0] ?? hook.path,
      env,
      stdin: new TextEncoder().encode(JSON.stringify(state)),
      stdout: "ignore",
      stderr: "inherit",
      timeout: hook.timeout ? hook.timeout * 1000 : undefined,
      killSignal: "SIGKILL",
    });
    const code = await child.exited;
    if (code !== 0) throw new Error(`error running hook: exit status ${code}, path: ${hook.path}`);
  }
}
