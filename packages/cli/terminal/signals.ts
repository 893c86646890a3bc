const PROXIED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCONT"] as const;

/** Gives signals that this process receives to `forward` instead of dying of them. Returns what ends it. */
export function proxySignals(forward: (signal: string) => Promise<unknown>): () => void {
  const listener = (signal: NodeJS.Signals) => {
    // The container may be gone already: then there is nobody to tell.
    forward(signal.slice(3)).catch(() => {});
  };
  for (const name of PROXIED) process.on(name, listener);
  return () => {
    for (const name of PROXIED) process.off(name, listener);
  };
}
