import { bool, str, value } from "./flags.ts";

/** The options that may stand before the command. */
export function rootFlags(configDir: string) {
  return {
    config: str("", "Where the client's settings are kept", "", { shown: JSON.stringify(configDir) }),
    context: str("c", "Context to use to reach the engine"),
    debug: bool("D", "Say more about what goes on"),
    host: value<string[]>("H", "Engine socket to connect to", {
      type: "string",
      initial: [],
      parse(text, before) {
        if (before.length > 0) throw new Error("specify only one -H");
        return [text];
      },
    }),
    "log-level": str("l", 'How much to log ("debug", "info", "warn", "error", "fatal")', "info"),
    tls: bool("", "Use TLS; implied by --tlsverify"),
    tlscacert: str("", "Trust certificates signed by this CA only", "", {
      shown: JSON.stringify(`${configDir}/ca.pem`),
    }),
    tlscert: str("", "TLS certificate file", "", { shown: JSON.stringify(`${configDir}/cert.pem`) }),
    tlskey: str("", "TLS key file", "", { shown: JSON.stringify(`${configDir}/key.pem`) }),
    tlsverify: bool("", "Use TLS and verify the engine"),
    version: bool("v", "Print the version and quit"),
  };
}
