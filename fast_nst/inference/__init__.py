"""ONNX models and the engines that run them. Never imports torch."""
