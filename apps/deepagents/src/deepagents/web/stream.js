// Server-Sent Events out of a fetch response: EventSource can only GET.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let event = blank();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      let line;
      while ((line = nextLine(text)) !== null) {
        text = text.slice(line.length);
        const content = line.content;
        if (content === "") {
          if (event.data.length) yield { name: event.name || "message", data: JSON.parse(event.data.join("\n")) };
          event = blank();
        } else {
          take(event, content);
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const blank = () => ({ name: "", data: [] });

// A line ends in LF, CR or CRLF; a CR at the very end may be half of a CRLF, so it waits for what follows.
function nextLine(text) {
  const match = /\r\n|\n|\r(?!$)/.exec(text);
  return match && { content: text.slice(0, match.index), length: match.index + match[0].length };
}

function take(event, line) {
  const colon = line.indexOf(":");
  if (colon === 0) return;
  const field = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (field === "event") event.name = value;
  if (field === "data") event.data.push(value);
}
