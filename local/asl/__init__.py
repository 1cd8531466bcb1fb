"""The Amazon States Language as far as Assay needs it: checked at deploy, interpreted at run time, JSONata only."""
