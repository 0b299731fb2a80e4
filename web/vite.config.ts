import { defineConfig } from "vite";

/** Headers that isolate the page from other origins, without which a browser gives it no threads. */
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Names of files: a module ends in .js, which every host knows as JavaScript, while some do not know .mjs. */
const assetFileNames = ({ names }: { names: string[] }) =>
  names[0]?.endsWith(".mjs") ? "assets/[name]-[hash].js" : "assets/[name]-[hash][extname]";

export default defineConfig({
  base: "./", // any folder of any host
  build: { target: "es2022", assetsInlineLimit: 0, rolldownOptions: { output: { assetFileNames } } },
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "production", "import", "default"] },
  worker: { format: "es", rolldownOptions: { output: { assetFileNames } } },
  server: { headers },
  preview: { headers },
});
