"""What a SageMaker Pipeline does: its definition is read back, put in order, and its steps run as processes."""
