# Each command works alone, skips what is up to date, and ends by naming what it wrote. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PYTHONDONTWRITEBYTECODE := 1

NOTEBOOKS := $(sort $(wildcard *.ipynb */*.ipynb))
READ_BY_REPORT := display.py $(wildcard experiments/*.py audio_processing/*.py player/*) $(shell find results mss_nn_implementation/training_final_full -type f 2>/dev/null | sed 's/ /\\ /g')

.PHONY: app colab-check help report site test test-quick lint dataset musdb train studies results bench parity stress verify notebooks environment anew
.DELETE_ON_ERROR:

report: site ## the report, executed, with all chapters, as pages: site/index.html

environment: .make/environment ## the virtual environment in .venv

.make/environment: requirements.lock
	@mkdir -p .make
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@
	@echo "wrote $(VENV)"

.make/main_report.ipynb: main_report.ipynb $(READ_BY_REPORT) .make/environment
	$(RUN) -m tools.notebooks run main_report.ipynb --out $@ --keep-going

# Pages with something missing are written, too, and say so; then this fails, and the report is executed anew next time.
site: .make/site ## render every page
.make/site: .make/main_report.ipynb $(NOTEBOOKS) $(wildcard tools/* player/*) $(if $(wildcard site/index.html),,anew)
	$(RUN) -m tools.build_site --report .make/main_report.ipynb || { touch -t 197001020000 .make/main_report.ipynb; exit 1; }
	@touch $@

dataset: .make/environment ## the virtual band's songs: data/virtual_band
	$(RUN) -m virtual_band

# MUSDB_PATH and AIR_TRAFFIC_PATH name folders of recorded music; what needs one of them is left out where it is not set
train: dataset ## the shipped weights, from nothing: hours
	$(RUN) -m neural_network_basics.train_drums_mask
	$(RUN) -m mss_nn_implementation.train trio --export
	for source in drums bass vocals; do $(RUN) -m ddsp_models.train_decoder band-$$source --export || exit; done
	$(RUN) -m ddsp_models.separation.train one_artist --export
	$(RUN) -m ddsp_models.separation.tune_masks
	$(RUN) -m ddsp_models.separation.ensemble
	for name in refined played unplayed mixtures; do $(RUN) -m ddsp_models.separation.train one_artist_$$name --export || exit; done
	for source in drums bass vocals; do $(RUN) -m ddsp_models.separation.train heard-$$source --export || exit; done
	$(RUN) -m ddsp_models.separation.tune_masks --decoders
	$(RUN) -m virtual_band --sets many_artists many_validation --many 240
	for name in artists four; do $(RUN) -m ddsp_models.separation.train many_$$name --export || exit; done
	$(RUN) -m mss_nn_implementation.train many
	$(RUN) -m mss_nn_implementation.train many_trio --export
	test -z "$$MUSDB_PATH" || $(RUN) -m mss_nn_implementation.train musdb --export
	test -z "$$AIR_TRAFFIC_PATH" || for source in drums bass vocals; do $(RUN) -m ddsp_models.train_decoder air_traffic-$$source --export || exit; done
	test -z "$$AIR_TRAFFIC_PATH" || $(RUN) -m ddsp_models.separation.train air_traffic --export

# Every training here is one row of a table; those that are up to date are not repeated
studies: dataset ## ablations, and the studies of music and parameters, from nothing: many hours
	$(RUN) -m virtual_band --sets one_artist_long
	$(RUN) -m mss_nn_implementation.ablations --export
	$(RUN) -m ddsp_models.separation.ablations
	$(RUN) -m experiments.studies
	$(RUN) -m ddsp_models.separation.oracle_substitution

results: dataset ## every score and clip, from the shipped weights
	$(RUN) -m experiments --jobs 2
	$(RUN) -m experiments.resynthesis
	$(RUN) -m experiments.clips
	$(RUN) -m tools.picture

bench: .make/environment ## speed and memory, beside the peers'
	$(RUN) -m benchmarks

stress: .make/environment ## stress tests: results/reliability.json
	$(RUN) -m stress.reliability

verify: .make/environment ## songs, a tiny training and scores, made again and compared with what is committed
	$(RUN) -m tools.verify

musdb: .make/environment ## MUSDB18's 7 s excerpts, from the network: data/musdb18-7s
	$(RUN) -m tools.fetch_musdb

# VOICE is a folder that holds vocadito_1.wav and its f0; CREPE_WEIGHTS one that holds CREPE's published weights
parity: .make/environment .venv-parity/complete ## our DDSP and CREPE beside the originals, in an environment of their own
	$(RUN) -m ddsp_models.parity.compare $(if $(VOICE),--voice "$(VOICE)")
	$(RUN) -m ddsp_models.pitch.evaluation $(if $(VOICE),--voice "$(VOICE)")

.venv-parity/complete: # ddsp's TensorFlow needs Python 3.10 to 3.12; about 2 GB
	$(PYTHON) -m venv --clear .venv-parity
	.venv-parity/bin/python -m pip install --quiet tensorflow==2.19.1 tf_keras==2.19.0 tensorflow-probability==0.25.0 gin-config librosa h5py
	.venv-parity/bin/python -m pip install --quiet --no-deps ddsp==3.7.0
	@touch $@

notebooks: .make/environment ## execute every notebook in place
	$(RUN) -m tools.notebooks header
	$(RUN) -m tools.notebooks run

colab-check: .make/environment ## every notebook alone, in an environment with Colab's versions
	$(RUN) -m tools.colab_check

app: .make/environment ## separate a song of your own in the browser
	$(RUN) app.py --open

# Two processes, each with one thread: two cores do more that way than two processes that both compute on both
test test-quick: export OMP_NUM_THREADS = 1
test test-quick: export TF_NUM_INTRAOP_THREADS = 1
test test-quick: export TF_NUM_INTEROP_THREADS = 1

test: .make/environment ## all tests, and every notebook executed: at most 15 minutes on two cores
	$(RUN) -m pytest -n 2 --dist loadfile --nbmake --nbmake-timeout=600 tests $(NOTEBOOKS)

test-quick: .make/environment ## the tests that are not slow: at most 3 minutes
	$(RUN) -m pytest -n 2 --dist loadfile -m "not slow" tests

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1 \2/p' Makefile | while read -r name text; do printf '%-14s%s\n' "$$name" "$$text"; done

lint: .make/environment ## ruff, the notebooks' form, the pages' prose
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m tools.notebooks check
	$(RUN) -m tools.prose
