// Signs and verifies agent cards with the official JavaScript SDK. One JSON request a line on standard input:
// {sign: card, key: JWK, alg, kid} is answered with the signed card, {verify: card, key: JWK, alg} with true or false.
// With {parsed: true} the SDK is handed a card of its own class, as its client and its server do.
import { createInterface } from "node:readline";
import { generateAgentCardSignature, verifyAgentCardSignature, AgentCard } from "@a2a-js/sdk";
import { importJWK } from "jose";

console.debug = () => {}; // the SDK tells there why a signature does not hold
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    console.log(JSON.stringify(await answer(request)));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}

async function answer({ sign, verify, key, alg, kid, parsed }) {
  const imported = await importJWK(key, alg);
  const card = parsed ? AgentCard.fromJSON(sign ?? verify) : (sign ?? verify);
  if (sign) {
    const signed = await generateAgentCardSignature(imported, { alg, kid, typ: "JOSE" })(card);
    return parsed ? AgentCard.toJSON(signed) : signed;
  }
  try {
    await verifyAgentCardSignature(async () => imported)(card);
    return true;
  } catch (error) {
    if (String(error).includes("No valid signatures")) return false;
    throw error;
  }
}
