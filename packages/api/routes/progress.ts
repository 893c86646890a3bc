import { messageOf, type ProgressMessage } from "@gantry/spec";
import type { Context, ResponseStream } from "../http/index.ts";

/**
 * A progress stream as Docker's clients read it: JSON objects on lines of their own. It begins with the first message,
 * so that a failure before it still becomes a status code; a later one becomes the stream's last message. With `always`
 * every failure does.
 */
export async function progressStream(
  context: Pick<Context, "stream">,
  work: (emit: (message: ProgressMessage) => void) => Promise<void>,
  always = false,
): Promise<void> {
  let stream: ResponseStream | undefined;
  const emit = (message: ProgressMessage) => {
    stream ??= context.stream();
    stream.json(message);
  };
  try {
    await work(emit);
    stream ??= context.stream();
  } catch (error) {
    if (!stream && !always) throw error;
    const message = messageOf(error);
    emit({ errorDetail: { message }, error: message });
  }
  stream?.end();
}
