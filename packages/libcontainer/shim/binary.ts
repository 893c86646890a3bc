import shim from "./build/gantry-shim" with { type: "file" };

/** The shim's executable: as built in the source tree, or inside the compiled executable. Read it, do not run it there. */
export const shimBinary: string = shim;
