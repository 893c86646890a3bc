/** The exit status of `run` and `start` for an engine's refusal: 127 no such command, 126 not executable, else 125. */
export function refusalStatus(message: string): number {
  if (/executable file not found|no such file or directory|system cannot find the file specified/.test(message))
    return 127;
  if (/permission denied|not a directory|is a directory/.test(message)) return 126;
  return 125;
}
