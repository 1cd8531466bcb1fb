# How a layer is built, with or without SAM: `make -C layers/assay build-AssayLayer ARTIFACTS_DIR=...`
# SAM runs a layer's Makefile by its path in a copy of the layer's folder, so paths outside it hang on that path.

HERE := $(dir $(realpath $(lastword $(MAKEFILE_LIST))))

# The template's parameter is the one place that says which Python runs; a deploy that overrides the parameter sets
# PYTHON_VERSION for the build as well, since SAM tells a makefile nothing of parameters.
PYTHON_VERSION ?= $(shell sed -n '/^  PythonVersion:/,/Default:/s/.*Default: *"\([0-9.]*\)".*/\1/p' $(HERE)../template.yaml)
PYTHON := python$(PYTHON_VERSION)

# Wheels for the Lambda runtime whatever builds them. python3.11 runs on Amazon Linux 2 with glibc 2.26, where the newest
# numpy, scipy and pyarrow (glibc 2.27 and 2.28) cannot be loaded.
WHEELS ?= --only-binary=:all: --implementation cp --python-version $(PYTHON_VERSION) \
	$(foreach tag,manylinux_2_24 manylinux_2_17 manylinux2014 manylinux_2_12 manylinux2010 manylinux_2_5 manylinux1,--platform $(tag)_x86_64)

# Fetched once for a list of requirements, so that a change of the product is built without the network.
WHEELHOUSE := $(HERE)../.aws-sam/wheels/$(PYTHON_VERSION)-$(shell cksum < requirements.txt | tr " " -)
PIP := $(PYTHON) -m pip --quiet --disable-pip-version-check
LAYER = $(ARTIFACTS_DIR)/python

# numpy.testing, which scipy imports, reads one file of numpy's own tests.
define install
	test -e "$(WHEELHOUSE)/.complete" || { \
		$(PIP) download --no-deps $(WHEELS) --dest "$(WHEELHOUSE)" --requirement requirements.txt \
		&& touch "$(WHEELHOUSE)/.complete"; }
	rm -rf "$(LAYER)"
	$(PIP) install --no-index --find-links "$(WHEELHOUSE)" --no-deps --no-compile $(WHEELS) \
		--target "$(LAYER)" --requirement requirements.txt
	rm -rf "$(LAYER)/bin" "$(LAYER)/share"
	find "$(LAYER)" -type f -path '*/tests/*' ! -path '*/numpy/_core/tests/_natype.py' -delete
	find "$(LAYER)" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' \
		-o -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cc' -o -name '*.a' \) -delete
	find "$(LAYER)" -type d -empty -delete
endef

# A layer is read-only, so Lambda cannot keep what it compiles; without this every cold start compiles the SDK for
# seconds. The pyc are not checked against their source, whose time a zip does not keep to the second.
define compile
	$(PYTHON) -W ignore -m compileall -q --invalidation-mode unchecked-hash "$(LAYER)"
endef
