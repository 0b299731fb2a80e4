import { defineConfig } from "vite";

/** Headers that isolate the page from other origins, without which a browser gives it no threads. */
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  base: "./", // any folder of any host
  build: { target: "es2022", assetsInlineLimit: 0 },
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "production", "import", "default"] },
  worker: { format: "es" },
  server: { headers },
  preview: { headers },
});
