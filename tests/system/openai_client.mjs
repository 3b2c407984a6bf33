// OpenAI's SDK for Node, unchanged: what it heard, as one JSON object on standard output.
//
//     node openai_client.mjs BASE_URL API_KEY REAL_MODEL STAND_IN_MODEL STAND_IN_URL
import OpenAI from "openai";

const [baseURL, apiKey, real, standIn, engine] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const schema = {
  type: "object",
  properties: { city: { type: "string", maxLength: 12 }, big: { type: "boolean" } },
  required: ["city", "big"],
  additionalProperties: false,
};
const parameters = { type: "object", properties: { town: { type: "string" } }, required: ["town"] };
const tool = { type: "function", function: { name: "weather", parameters } };

async function chat() {
  const asked = { model: real, messages, temperature: 0, max_tokens: 12 };
  const whole = await client.chat.completions.create(asked);
  const stream = await client.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  let streamed = "";
  let usage = null;
  for await (const chunk of stream) {
    streamed += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  return {
    whole: whole.choices[0].message.content,
    finish: whole.choices[0].finish_reason,
    wholeUsage: whole.usage,
    streamed,
    streamedUsage: usage,
    requestId: whole._request_id,
  };
}

async function jsonSchema() {
  const answer = await client.chat.completions.create({
    model: real,
    messages,
    temperature: 0,
    max_tokens: 60,
    response_format: { type: "json_schema", json_schema: { name: "city", strict: true, schema } },
  });
  return JSON.parse(answer.choices[0].message.content);
}

async function tools() {
  const asked = { model: standIn, messages, tools: [tool] };
  const whole = await client.chat.completions.create(asked);
  const runner = client.chat.completions.stream(asked);
  const streamed = await runner.finalChatCompletion();
  const [call] = whole.choices[0].message.tool_calls;
  const final = await client.chat.completions.create({
    ...asked,
    messages: [
      ...messages,
      whole.choices[0].message,
      { role: "tool", tool_call_id: call.id, content: "sunny" },
    ],
  });
  return {
    whole: call.function,
    streamed: streamed.choices[0].message.tool_calls[0].function,
    final: final.choices[0].message.content,
  };
}

async function embeddings() {
  const input = ["a cat", "a kitten"];
  const floats = await client.embeddings.create({ model: standIn, input, encoding_format: "float" });
  const decoded = await client.embeddings.create({ model: standIn, input }); // base64 on the wire
  return {
    floats: floats.data.map((one) => one.embedding),
    decoded: decoded.data.map((one) => Array.from(one.embedding)),
  };
}

async function responses() {
  const asked = { model: real, input: "What is the capital of France?", temperature: 0 };
  const whole = await client.responses.create({ ...asked, max_output_tokens: 12 });
  const kinds = [];
  let streamed = "";
  const stream = await client.responses.create({ ...asked, max_output_tokens: 12, stream: true });
  for await (const event of stream) {
    kinds.push(event.type);
    if (event.type === "response.output_text.delta") streamed += event.delta;
  }
  return { whole: whole.output_text, streamed, first: kinds[0], last: kinds.at(-1) };
}

async function models() {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  return { listed, found: (await client.models.retrieve(real)).id };
}

async function errors() {
  const told = {};
  const failing = {
    unknownModel: () => client.chat.completions.create({ model: "stand-on", messages }),
    wrongType: () => client.chat.completions.create({ model: real, messages, temperature: "hot" }),
    forbidden: () => client.chat.completions.create({ model: real, messages, prompt_embeds: "x" }),
    tooLong: () =>
      client.chat.completions.create({
        model: real,
        messages: [{ role: "user", content: "word ".repeat(9000) }],
      }),
    wrongKey: () => new OpenAI({ baseURL, apiKey: "sk-byoi-wrong" }).models.list(),
    midStream: async () => {
      // It fails once some of its answer is here: what is still on its way then is given up.
      const content = "[[fault=truncated after=3]]";
      await fetch(`${engine}/hold`, { method: "POST", body: "3" });
      const stream = await client.chat.completions.create({
        model: standIn,
        messages: [{ role: "user", content }],
        stream: true,
      });
      for await (const chunk of stream)
        if (chunk.choices[0]?.delta?.content) await fetch(`${engine}/let_go`, { method: "POST" });
    },
  };
  for (const [name, fail] of Object.entries(failing)) {
    try {
      await fail();
      told[name] = null;
    } catch (error) {
      const { status, code, param, message, requestID } = error;
      told[name] = { kind: error.constructor.name, status, code, param, message, requestID };
    }
  }
  return told;
}

async function leaving() {
  const stream = await client.chat.completions.create({
    model: standIn,
    messages: [{ role: "user", content: "[[tokens_per_second=50]]" }],
    max_tokens: 3000,
    stream: true,
  });
  for await (const _ of stream) break;
  return stream.controller.signal.aborted;
}

const steps = { chat, jsonSchema, tools, embeddings, responses, models, errors, leaving };
const heard = {};
for (const [name, step] of Object.entries(steps)) heard[name] = await step();
console.log(JSON.stringify(heard));
