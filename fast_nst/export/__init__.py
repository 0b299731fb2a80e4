"""Trained networks as ONNX models in float32, float16 and int8."""
