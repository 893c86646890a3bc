/** The user's side of registry credentials: config.json, helpers, login and logout. Runs on Node as well as on Bun. */
export {
  type AuthEntry,
  type ConfigFile,
  configDir,
  configPath,
  readConfigFile,
  writeConfigFile,
} from "./config-file.ts";
export { CredentialHelper, type HelperCredentials } from "./helper.ts";
export {
  CredentialStore,
  credentialsKey,
  encodeRegistryAuth,
  encodeRegistryConfig,
  HUB_KEY,
  type Keeping,
  type RegistryCredentials,
} from "./store.ts";
