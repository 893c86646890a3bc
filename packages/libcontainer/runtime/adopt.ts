import type { CgroupManager } from "../cgroups/index.ts";
import { ControlConnection } from "./control.ts";
import { decodeState, Op } from "./protocol.ts";
import { readRecord } from "./state.ts";
import { GantryTask, type TaskMaker } from "./task.ts";

/** How long a shim has for its first answer where one can go on without. */
const PATIENCE_MS = 1000;

/** Takes over a task that an earlier process made; `pid` as in `Runtime.find`. */
export async function adoptTask(
  id: string,
  stateDir: string,
  cgroups: CgroupManager,
  pid: number,
  maker?: TaskMaker,
): Promise<GantryTask | null> {
  const record = readRecord(stateDir);
  if (!record || record.id !== id) return null;
  try {
    const control = await ControlConnection.open(stateDir);
    const answer = control.request(Op.state).then((body) => decodeState(body).pid);
    const told = pid > 0 ? await within(answer, PATIENCE_MS) : await answer;
    const task = new GantryTask(record, stateDir, cgroups, control, told ?? pid, maker);
    if (told === null) task.silentUntil(answer);
    return task;
  } catch {
    return new GantryTask(record, stateDir, cgroups, null, 0, maker);
  }
}

async function within<T>(work: Promise<T>, ms: number): Promise<T | null> {
  let timer: Timer | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
