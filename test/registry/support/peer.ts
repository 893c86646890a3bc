/** A command that runs another one where skopeo, buildah and podman are. */
export const peerPrefix = process.env["GANTRY_PEER_RUN"]?.split(" ").filter(Boolean);
/** Path of a real dockerd's socket. */
export const peerDocker = process.env["GANTRY_PEER_DOCKER"]?.replace(/^unix:\/\//, "");

/** Runs a peer's command; returns what it printed. Throws with its standard error. */
export async function peer(...command: string[]): Promise<string> {
  const child = Bun.spawn([...(peerPrefix ?? []), ...command], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}: ${err}`);
  return out.trim();
}

/** One request to the real dockerd. Throws what it refuses. */
export async function callDocker(
  method: string,
  path: string,
  options: { headers?: Record<string, string>; body?: Uint8Array } = {},
): Promise<Response> {
  const response = await fetch(`http://docker${path}`, {
    method,
    headers: options.headers,
    body: options.body,
    unix: peerDocker,
  } as RequestInit);
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
  return response;
}
