declare module "*/gantry-shim" {
  const path: string;
  export default path;
}
