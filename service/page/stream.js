// One streamed answer: its text as it comes, then what it cost and which version made it.
import { send } from "./api.js";

/** The data of each server-sent event. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
    }
  } finally {
    reader.releaseLock();
  }
}

const textOf = (choice) => choice?.delta?.content ?? choice?.text ?? "";

/**
 * Asks `model` for tokens and calls `onText(piece)` for each piece.
 * Resolves to {version, first, seconds, tokens, rate}: seconds to the first piece and to the last, completion
 * tokens, and tokens a second after the first.
 */
export async function answer({ model, input, maxTokens, temperature, signal, onText }) {
  const isChat = Array.isArray(input);
  const path = isChat ? "/v1/chat/completions" : "/v1/completions";
  const json = {
    model,
    ...(isChat ? { messages: input } : { prompt: input }),
    max_tokens: maxTokens,
    temperature,
    stream: true,
    stream_options: { include_usage: true },
  };
  const begun = performance.now();
  const response = await send("POST", path, { json, signal });
  const made = { version: response.headers.get("X-Patchbay-Adapter"), first: null, seconds: null, tokens: null, rate: null };
  for await (const data of events(response)) {
    if (data === "[DONE]") break;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    const piece = textOf(chunk.choices?.[0]);
    if (piece) {
      made.seconds = (performance.now() - begun) / 1000;
      made.first ??= made.seconds;
      onText(piece);
    }
    made.tokens = chunk.usage?.completion_tokens ?? made.tokens;
  }
  made.seconds ??= (performance.now() - begun) / 1000;
  const writing = made.seconds - made.first;
  if (made.tokens > 1 && writing > 0) made.rate = (made.tokens - 1) / writing;
  return made;
}
