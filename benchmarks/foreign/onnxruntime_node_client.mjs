// Classify pixels with a bundle's file as an app would: ONNX Runtime for Node, nothing of edgevit.
//
// ONNX Runtime for Node cannot read a file's metadata, so the labels come from the bundle's
// labels.txt. It brings no image decoder either: photos are files of height × width × 3 bytes
// without a header, RGB, as Python's PIL.Image.tobytes() gives them.
//
// The package is looked for in the folder where node is started. Without its scripts it does not
// download the libraries for CUDA:
//
//     npm install --ignore-scripts onnxruntime-node@1.30.0
//     node benchmarks/foreign/onnxruntime_node_client.mjs BUNDLE PIXELS...
//
// For each file it prints a line of JSON: {"photo": …, "answers": [{"label": …, "score": …}, …]}
// with all labels, best first.

import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { InferenceSession, Tensor } = createRequire(join(process.cwd(), "/"))("onnxruntime-node");

async function main(args) {
  const [bundle, ...photos] = args;
  if (photos.length === 0) {
    console.error("usage: onnxruntime_node_client.mjs BUNDLE PIXELS...");
    return 2;
  }
  const file = readdirSync(bundle).find((name) => name.endsWith(".onnx"));
  if (file === undefined) {
    console.error(`there is no .onnx file in ${bundle}`);
    return 2;
  }
  const labels = readFileSync(join(bundle, "labels.txt"), "utf8").split("\n").slice(0, -1);
  const session = await InferenceSession.create(join(bundle, file));
  const [input] = session.inputMetadata;
  const [output] = session.outputNames;
  for (const photo of photos) {
    // A Buffer may be part of a larger pool: the tensor wants the bytes alone.
    const pixels = new Tensor("uint8", Uint8Array.from(readFileSync(photo)), input.shape);
    const scores = (await session.run({ [input.name]: pixels }))[output].data;
    const answers = labels
      .map((label, number) => ({ label, score: scores[number] }))
      .sort((a, b) => b.score - a.score);
    console.log(JSON.stringify({ photo, answers }));
  }
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
