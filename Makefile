# Each command works alone, skips what is up to date, and ends by naming what it wrote. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PYTHONDONTWRITEBYTECODE := 1

NOTEBOOKS := $(shell git ls-files '*.ipynb' 2>/dev/null)
READ_BY_REPORT := display.py $(wildcard experiments/*.py audio_processing/*.py player/*) $(shell find results mss_nn_implementation/training_final_full -type f 2>/dev/null | sed 's/ /\\ /g')

.PHONY: app colab-check report site test lint dataset musdb train studies results bench parity stress verify notebooks environment anew
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
	$(RUN) -m tools.notebooks run main_report.ipynb --to $@ --keep-going

# Pages with something missing are written, too, and say so; then this fails, and the report is executed anew next time.
site: .make/site ## render every page
.make/site: .make/main_report.ipynb $(NOTEBOOKS) $(wildcard tools/* player/*) $(if $(wildcard site/index.html),,anew)
	$(RUN) -m tools.build_site --report .make/main_report.ipynb || { touch -t 197001020000 .make/main_report.ipynb; exit 1; }
	@touch $@

dataset: .make/environment ## the virtual band's songs: data/virtual_band
	$(RUN) -m virtual_band

# MUSDB_PATH and AIR_TRAFFIC_PATH name folders of recorded music; what needs one of them is left out where it is not set
train: dataset ## the shipped weights, from nothing: hours
	$(RUN) -m neural_network_basics.drums_mask
	$(RUN) -m mss_nn_implementation.train trio
	for source in drums bass vocals; do $(RUN) -m ddsp_models.train_decoder band-$$source || exit; done
	$(RUN) -m ddsp_models.separation.train one_artist
	$(RUN) -m ddsp_models.separation.tune_masks
	$(RUN) -m ddsp_models.separation.train_refinement
	$(RUN) -m ddsp_models.separation.ensemble
	$(RUN) -m ddsp_models.separation.train_through_decoders one_artist_played
	for source in drums bass vocals; do $(RUN) -m ddsp_models.train_decoder heard-$$source || exit; done
	$(RUN) -m ddsp_models.separation.tune_masks --played
	$(RUN) -m ddsp_models.separation.train_through_decoders one_artist_unplayed
	$(RUN) -m ddsp_models.separation.train_through_decoders one_artist_mixtures
	$(RUN) -m virtual_band --sets many_artists many_validation --many 240
	$(RUN) -m ddsp_models.separation.train many_artists
	$(RUN) -m ddsp_models.separation.train many_four
	$(RUN) -m mss_nn_implementation.train many --dry
	$(RUN) -m mss_nn_implementation.train many_trio
	test -z "$$MUSDB_PATH" || $(RUN) -m mss_nn_implementation.train musdb
	test -z "$$AIR_TRAFFIC_PATH" || for source in drums bass vocals; do $(RUN) -m ddsp_models.train_decoder air_traffic-$$source || exit; done
	test -z "$$AIR_TRAFFIC_PATH" || $(RUN) -m ddsp_models.separation.train air_traffic

# Every training here is one line of a table; those that are there are left as they are
studies: dataset ## ablations, and the studies of music and parameters, from nothing: many hours
	$(RUN) -m virtual_band --sets one_artist_long
	$(RUN) -m mss_nn_implementation.ablations
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

stress: .make/environment ## hard knocks, many of them: results/reliability.json
	$(RUN) -m stress.reliability

verify: .make/environment ## songs, a tiny training and scores, done again and compared with what is committed
	$(RUN) -m tools.verify

musdb: .make/environment ## MUSDB18's 7 s excerpts, from the network: data/musdb18-7s
	$(RUN) -m tools.fetch_musdb

# VOICE is a folder that holds vocadito_1.wav and its f0; CREPE_WEIGHTS one that holds CREPE's published weights
parity: .make/environment ## our DDSP and CREPE beside the originals, which get an environment of their own
	$(RUN) -m ddsp_models.parity.compare $(if $(VOICE),--voice "$(VOICE)")
	$(RUN) -m ddsp_models.pitch.evaluation $(if $(VOICE),--voice "$(VOICE)")

notebooks: .make/environment ## execute every notebook in place
	$(RUN) -m tools.notebooks header
	$(RUN) -m tools.notebooks run

colab-check: .make/environment ## every notebook alone, in an environment with Colab's versions
	$(RUN) -m tools.colab_check

app: .make/environment ## separate a song of your own in the browser
	$(RUN) app.py --open

test: .make/environment ## all tests, and every notebook executed
	$(RUN) -m pytest tests
	$(RUN) -m pytest --nbmake --nbmake-timeout=600 $(NOTEBOOKS)

lint: .make/environment
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m tools.notebooks check
