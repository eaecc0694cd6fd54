"""Bad input, over all verbs: each is refused with a documented exit code and one line that names what is wrong, and
nothing is written.

`CASES` has the arguments of a command and what its answer must say. `{name}` stands for a file or folder that `folder`
below makes: `{data}` a dataset, `{policy}` a policy, `{evaluation}` an evaluation, `{note}` a text file, and so on.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from forestpilot.data_collection.episodes.dataset import Dataset
from forestpilot.launch import cli
from forestpilot.policies.networks.checkpoint import save_policy
from forestpilot.policies.networks.config import PolicyConfig, ViewConfig
from forestpilot.policies.networks.memories.options import NoMemoryConfig
from forestpilot.policies.networks.visuomotor import VisuomotorPolicy
from tests.helpers.episodes import ENV_ID, make_episode
from tests.helpers.specs import small_spec, spec_of

EVALUATION_OF_0_1 = Path(__file__).parents[1] / "contract/data/v0_1/evaluations/drive-winding"
CONFIGS = {
    "list": "- 1\n- 2\n",
    "broken": "steps: [1, 2\n",
    "unknown": "stepps: 3\n",
    "unknown_inside": "policy: {featurs: 3}\n",
    "wrong_type": "steps: many\n",
    "wrong_list": "data: one\n",
    "nan": "weight_decay: .nan\n",
    "infinite": "learning_rate: .inf\n",
    "negative": "policy: {features: -1}\n",
    "zeros": "policy: {encoder: {part: cnn, channels: [0, 0, 0]}}\n",
    "bool": "steps: yes\n",
    "text_seed": "seed: '7'\n",
    "huge": f"steps: {10**30}\n",
    "deep": "a: " + "[" * 5000 + "\n",
    "laughs": "a: &a [1]\n" + "".join(f"{b}: &{b} [{', '.join(9 * ['*' + a])}]\n" for a, b in pairwise("abcdefghi")),
    "merges": "a: &a {x: 1}\n"
    + "".join(f"{b}: &{b} {{<<: [{', '.join(9 * ['*' + a])}]}}\n" for a, b in pairwise("abcdefghi")),
    "object": "steps: !!python/object/apply:os.system [echo]\n",
    "date": "steps: 2020-99-99\n",
    "cycle": "a: &a [*a]\n",
    "long": "# no end\n" * 40_000,
    "binary": "\x00\x01\x02",
    "part": "policy: {head: nosuch}\n",
    "part_option": "policy: {head: {part: mixture, bins: 3}}\n",
    "no_mapping": "policy: 3\n",
    "combination": "shards: 5\nbatch_windows: 3\n",
    "null": "steps: null\n",
    "options": "task: drone\noptions: {length: 3}\n",
}
"""Config files by name."""

CASES = """
# The command itself.
nosuch | unknown verb 'nosuch'
trian | did you mean 'train'
'' | unknown verb
"../train" | unknown verb
train --tyro-print-completion bash | forestpilot completion

# Options that are not there, lack a value, or are of the wrong type.
train --stepz 3 | --stepz
train --policy.featurs 3 | --policy.features
train surplus | surplus
train --steps | --steps
train --steps abc | --steps
train --steps 1.5 | --steps
train --steps 1e3 | --steps
train --steps '' | --steps
train --seed 0x10 | --seed
train --learning-rate fast | --learning-rate
train --flip maybe | maybe
train --side-labels guess | --side-labels
train --policy.cameras both | --policy.cameras
train --policy.encoder.channels 1 2 | --policy.encoder.channels
train --policy.encoder.channels 1 2 x | --policy.encoder.channels
train --policy.head nosuch | 'nosuch'
train --policy.encoder nosuch | 'nosuch'
train --policy.memory nosuch | 'nosuch'
train --policy.head mixture --policy.head.bins 3 | --policy.head.bins
train --policy.head no.such.module:Head | no.such.module:Head
train --policy.head os:path | os:path
train --config | --config
evaluate --task nosuch | 'nosuch'
evaluate --episodes ten | --episodes
evaluate --renderer nosuch | 'nosuch'
evaluate --split train | train
evaluate --split nosuch | split is 'nosuch'
collect | --out
collect --out out --pilot nobody | nobody
collect --out out --task nosuch | 'nosuch'
collect --out out --mix.renderer nosuch | 'nosuch'
collect --out out --mix.speeds a b | --mix.speeds
collect --out out --mix.options.length 100 | --mix.options.length
collect --out out --task drive --mix.options.density 0.1 | --mix.options.density
dagger --preset nosuch | 'nosuch'
dagger --gate nosuch | 'nosuch'
dagger --beta sometimes | --beta
dagger --task nosuch | 'nosuch'
dagger --trips 3 | --episodes
tune | tune what
tune nosuch | 'nosuch' cannot be tuned
tune daggr --search seed=1,2 | did you mean 'dagger'
tune bc | --search is missing
tune bc --search seed | give FIELD=VALUES
tune bc --search train.learnin_rate=1:2 | did you mean 'train.learning_rate'
tune bc --search train.learning_rate=0:1 | allowed: above 0 to 10
tune bc --search train.learning_rate= | the list is empty
tune bc --search train.policy.memory=nosuch | 'nosuch'
tune bc --search seed=1,2 --trials 0 | --trials
tune bc --search seed=1,2 --looks -1 | --looks
tune bc --search validation_episodes=1,2 --out out | changes the validation worlds
tune dagger --preset human --search seed=1,2 --out out | nobody takes over
tune train --search seed=1,2 --out out | data names no dataset
tune train --search seed=1,2 --data nowhere --out out | nowhere
study | which study
study nosuch | 'nosuch'
study gates --preset nosuch | 'nosuch'
study three-cameras --roads nosuch | nosuch
bench nosuch | 'nosuch'
bench | bench
bench env --start lukewarm | --start
completion tcsh | tcsh
completion | completion
doctor --renderer nosuch | 'nosuch'
export {data} | --out
export {data} --out new --to nosuch | 'nosuch'
export robomimic memory://flights --out new | give --to.copy
inspect memory://flights | give --out
train --data {data} --out new --device tpu | --device
export lerobot {data} --out new --to.crf 99 | --to.crf
export lerobot {data} --out new --licence free | --licence
export onnx nowhere --out new.onnx --licence free | --licence
export lerobot {data} --out new --to.action done | --to.action
export minari {data} --out new --to.id flights | --to.id
export minari {data} --out {note} | note.txt
import | --out
export robomimic {data} --out new --to.actions done | is now `--to.action`
export rlds {data} --out new --to.file-mb 0 | --to.file-mb
import rlds {data} --out new | data
import minari nowhere --out new | nowhere
import minari {data} --out new | data
import nowhere --out new | nowhere
import {data} --out new --format nosuch | 'nosuch'
import {note} --out new | note.txt
imagine | --data
imagine --data nowhere | nowhere
imagine --data {data} --model nosuch | 'nosuch'
imagine --data {data} --learner nosuch | 'nosuch'
imagine --data {data} --model.noise much | much
imagine --data {data} --learner.free-steps 10 | free-steps
imagine --data {data} --held-out {data} | other worlds
evaluate --policy imagined:nowhere --out new | nowhere
dream | --world
dream --world nowhere | nowhere
dream --world {data} | forestpilot imagine
dream --world nowhere --dreamer nosuch | 'nosuch'
dream --world nowhere --rounds 0 | --rounds
dream --world nowhere --dreamer.temperature 0 | temperature
evaluate --policy dreamed:nowhere --out new | forestpilot dream
embed | --data
embed --data nowhere | nowhere
embed --data {data} --embedder nosuch | 'nosuch'
embed --data {data} --embedder.loss much | much
embed --data {data} --embedder single-view --embedder.far 1 | far
embed --data {data} --views view_chase | center
embed --data {data} --embedder.clips 1 | clips
embed --data {data} --held-out {data} | other worlds
embed --data {data} --out new | too few
train --data {data} --policy.encoder embedding --policy.encoder.run nowhere --out new | nowhere
intervene --task nosuch | 'nosuch'
intervene --by guessing | --by
reinforce --task nosuch | 'nosuch'
reinforce --method nosuch | 'nosuch'
reinforce --start nosuch/run | nosuch/run
reinforce --shaping 0.1 --keep-close 0.1 | one of them
reinforce --retrain | retrain
reinforce --method.critic nobodys | --method.critic
reinforce --method.epochs 0 | --method.epochs
reinforce --train.policy.chunk 2 --train.policy.window 2 | chunk
reinforce --train.policy.head diffusion | diffusion
bco --task nosuch | 'nosuch'
bco --alpha -1 | --alpha
bco --inverse.reads nothing | --inverse.reads
bco --inverse.head turn-costs | turn-costs
bco --train.policy.head turn-costs | turn-costs
bco --demonstrations nowhere --expert-episodes 0 | nowhere
adversarial --adversary embedding --out new | --adversary.films
adversarial --adversary embedding --adversary.form much | much
adversarial --adversary domain-confused --adversary.regulariser spectral-norm | regulariser
adversarial --adversary embedding --demonstrations {data} | --adversary.films
third-person --task nosuch | 'nosuch'
third-person --viewpoint nosuch | 'nosuch'
third-person --embedder nosuch | 'nosuch'
third-person --embedding-steps 0 | --embedding-steps
third-person --motion slow | slow
third-person --inverse.ahead 0 | --inverse.ahead
third-person --strays 0.5 0.1 | least comes first
third-person --inverse.reads state | nothing but pictures
third-person --train.policy.head turn-costs | turn-costs
third-person --demonstrations {data} --expert-episodes 0 --out new | another task
semi | --unlabelled
semi --unlabelled nowhere | nowhere
semi --videos 2 --method nosuch | 'nosuch'
semi --videos 2 --method weighted | --unlabelled
semi --videos 2 --method consistency --method.within 0 | --method.within
semi --videos 2 --method masked --method.hidden 1 | --method.hidden
semi --videos 2 --share 1 | --share
semi --videos 2 --train.policy.head turn-costs | turn-costs
collect --observations-only --viewpoint nosuch | 'nosuch'
adversarial --adversary nosuch | 'nosuch'
adversarial --adversary.penalty -1 | --adversary.penalty
adversarial --adversary airl --adversary.action-noise 0.1 | gail
adversarial --reward.crash 2 | adversary alone rewards
adversarial --expert-episodes 0 | --demonstrations
adversarial --method sac | --method ppo
adversarial --adversary sqil | --method sac
adversarial --start nosuch/run | nosuch/run
collect --out new --mix.options.hazards 3 | hazards
collect --out new --task drive --mix.options.hazards -1 | hazards
replay | replay
replay {evaluation} --costs free | --costs
report | report
inspect | inspect
relabel | relabel
grid --speeds | speeds
demo --keep-data perhaps | --keep-data

# Sizes that can never work.
train --steps 0 | --steps is 0; allowed: 1 to
train --steps -5 | --steps is -5; allowed: 1 to
train --steps 99999999999 | --steps is 99999999999
train --batch-windows 99999999 | --batch-windows is 99999999; allowed: 1 to 65,536
train --batch-windows 0 | --batch-windows is 0
train --shards 0 | --shards is 0
train --shards 13 | shards is 13; allowed: 1 to batch_windows = 12
train --learning-rate 0 | --learning-rate is 0.0; allowed: above 0
train --learning-rate -1 | --learning-rate is -1.0
train --learning-rate 1e9 | --learning-rate
train --warmup-fraction 1 | --warmup-fraction is 1.0; allowed: 0 to below 1
train --warmup-fraction -0.1 | --warmup-fraction
train --weight-decay -1 | --weight-decay is -1.0; allowed: 0 to 100
train --grad-clip -1 | --grad-clip
train --ema-decay 1 | --ema-decay
train --burn-in -1 | --burn-in
train --burn-in 8 | burn_in
train --human-delay 3 | --human-delay is 3.0; allowed: 0 to 2
train --cache-gb -1 | --cache-gb
train --disk-cache-gb -1 | --disk-cache-gb
train --checkpoint-every 0 | --checkpoint-every
train --log-every 0 | --log-every
train --seed -1 | --seed is -1; allowed: 0 to
train --seed 99999999999999999999 | --seed
train --policy.features 0 | --policy.features is 0; allowed: 1 to 2,048
train --policy.features 100000000 | --policy.features
train --policy.window 0 | --policy.window
train --policy.window 1000000 | --policy.window
train --policy.chunk 0 | --policy.chunk
train --policy.chunk 2 --policy.chunk-steps 3 | chunk_steps
train --policy.chunk-decay -1 | --policy.chunk-decay
train --policy.view.height 0 | --policy.view.height
train --policy.view.width 99999 | --policy.view.width
train --policy.view.horizon-offset-px 99999 | --policy.view.horizon-offset-px
train --policy.encoder.channels 0 0 0 | --policy.encoder.channels is 0 0 0; allowed: 1 to 1,024
train --policy.encoder cnn --policy.encoder.channels 1 1 -1 | --policy.encoder.channels
train --policy.memory transformer --policy.memory.layers 0 | --policy.memory.layers
train --policy.memory transformer --policy.memory.heads 0 | --policy.memory.heads
train --policy.memory tcn --policy.memory.kernel 1 | --policy.memory.kernel
train --policy.memory tcn --policy.memory.dropout 1 | --policy.memory.dropout
train --data abc://flights --out out | abc://flights cannot be read
train --data memory://nowhere --out out | memory://nowhere is no dataset
train --data {data} --policy.memory tcn --policy.memory.layers 4 --out new | policy.window has 8; lengthen the window
train --data {data} --policy.memory stacked --policy.memory.spacing 3 --out new | policy.window has 8; lengthen
train --dropped-pictures 1.1 | --dropped-pictures
evaluate --dropped-pictures -0.1 | --dropped-pictures
collect --out new --mix.dropped-pictures nan | --mix.dropped-pictures
train --policy.head mixture --policy.head.components 0 | --policy.head.components
train --policy.head categorical --policy.head.bins 2 | --policy.head.bins is 2; allowed: 3 to 1,025
train --policy.head cvae --policy.head.latent 0 | --policy.head.latent
train --policy.head cvae --policy.head.kl-weight -1 | --policy.head.kl-weight
train --policy.head diffusion --policy.head.steps 0 | --policy.head.steps is 0; allowed: 1 to 10
train --policy.head flow --policy.head.steps 5 | --policy.head.steps is 5; allowed: 1 to 4
train --policy.head categorical --policy.head.over go | --policy.head.over
train --policy.head regression --policy.chunk 9 | policy.chunk is 9; allowed: 1 to policy.window = 8
train --policy.head.clip 0 | --policy.head.clip is 0.0; allowed: above 0
train --policy.head.scale -1 | --policy.head.scale
train --policy.head.hysteresis-per-rad -1 | --policy.head.hysteresis-per-rad
train --side-labels geometric | side_labels
dagger --episodes 99999999 | --episodes is 99999999; allowed: 1 to 1,000,000
dagger --episodes 0 | --episodes
dagger --rounds -1 | --rounds
dagger --expert-episodes -1 | --expert-episodes
dagger --expert-episodes 0 | expert_episodes
dagger --first-world -1 | --first-world
dagger --first-world 999990 | leave the train split
dagger --rounds 9000 --episodes 9000 | leave the train split
dagger --stop-when 97 | --stop-when is 97.0; allowed: above 0 to 1
dagger --stop-when 0 | --stop-when
dagger --least-rounds -1 | --least-rounds
dagger --validation-episodes 0 | --validation-episodes
dagger --validate-from -1 | --validate-from
dagger --validate-every 0 | --validate-every
dagger --workers 0 | --workers is 0; allowed: 1 to 4,096
dagger --workers -1 | --workers
dagger --ensemble 1 | --ensemble
dagger --label-budget -1 | --label-budget
dagger --label-budget 3 | label_budget
dagger --gate expert --gate.regret 1 | calm_regret
dagger --gate expert --gate.calm-s -1 | --gate.calm-s
dagger --gate uncertainty --gate.unsure-deg -1 | --gate.unsure-deg
dagger --gate expert --beta linear | gate is expert and beta is linear
dagger --beta-decay 2 | --beta-decay
dagger --beta-linear-rounds 0 | --beta-linear-rounds
dagger --mix.width 1 --mix.height 1 | --mix.width is 1; allowed: 32 to 1,280
dagger --train.policy.encoder.channels 0 0 0 | --train.policy.encoder.channels
dagger --train.batch-windows 99999999 | --train.batch-windows
bc --episodes 99999999 | --episodes
bc --steps 0 | --steps
collect --out out --episodes 0 | --episodes is 0
collect --out out --episodes 99999999 | --episodes is 99999999
collect --out out --seed -1 | --seed is -1
collect --out out --noise nosuch | 'nosuch'
collect --out out --noise action --noise.level -0.1 | --noise.level is -0.1
collect --out out --noise action --noise.level nan | --noise.level is nan
collect --out out --noise action --noise.level 0.1 --noise.fit {policy} | the level is given or fitted
collect --out out --noise action --noise.fit nowhere | nowhere
collect --out out --noise pose --noise.every-s 0 | --noise.every-s is 0
collect --out out --noise.level 0.1 | --noise action
train --data {data} --noise state --noise.level -1 | --noise.level is -1
train --data {data} --noise state --noise.elements speed | noise.elements
dagger --replay-failures --replay-seconds 0 | --replay-seconds is 0
dagger --replay-seconds 3 | replay_seconds has no effect
dagger --replay-failures --replay-weight -1 | --replay-weight is -1
collect --out out --seed 1000000 | training worlds
collect --out out --seed 999999 --episodes 2 | training worlds
collect --out out --workers 0 | --workers
collect --out out --mix.control-hz 0 | --mix.control-hz
collect --out out --mix.width 31 | --mix.width is 31; allowed: 32 to 1,280
collect --out out --mix.height 721 | --mix.height
collect --out out --mix.speeds 5 | speeds
collect --out out --mix.speeds 6 5 | speeds
collect --out out --mix.speeds 0 5 | --mix.speeds is 0.0 5.0
collect --out out --mix.speeds 5 99 | speeds
collect --out out --mix.presets nosuch | nosuch
collect --out out --mix.options.density 9 | --mix.options.density
collect --out out --mix.options.density -0.1 | --mix.options.density
collect --out out --task drive --mix.options.length 1 | --mix.options.length
collect --out out --task drive --mix.options.length 1e9 | --mix.options.length
collect --out out --task drive --mix.options.side-cameras nosuch | side_cameras
collect --out out --task drive --mix.options.interventions nosuch | interventions
collect --out out --mix.options.orders nonsense | 'nonsense' is no colour of gates
collect --out out --mix.options.orders red-blue | needs 3 colours
collect --out out --mix.options.orders all --mix.options.gaps 2 | neither with gaps
collect --out out --mix.options.goal-kind demonstration | there are no coloured gates
evaluate --options.orders red-blue-red nonsense | 'nonsense' is no colour of gates
evaluate --options.orders all --options.goal-kind demonstration --options.shown nonsense | 'nonsense' is no colour
evaluate --options.orders all --options.goal-kind demonstration --options.shown red-red | needs 3 colours
evaluate --options.orders all --options.shown red-red-red | nothing is demonstrated
train --data {data} --policy.goal-encoder demonstration | the goals here are of kind bearing
train --data {data} --policy.goal-encoder maml | the goals here are of kind bearing
train --data {data} --policy.goal-encoder order | reads goals of kind order
train --policy.goal-encoder demonstration --policy.goal-encoder.naming -1 | --policy.goal-encoder.naming
train --policy.goal-encoder order --policy.goal-encoder.loudness 0 | --policy.goal-encoder.loudness
train --data {data} --relabel orders | goals of kind bearing tell no order
train --relabel nonsense | nonsense
train --policy.goal-encoder maml --policy.goal-encoder.rate 0 | --policy.goal-encoder.rate
collect --out out --task drive --mix.options.routes left-up-left | 'up' is no turn
collect --out out --task drive --mix.options.routes all --mix.options.length 150 | 200 m or more
collect --out out --task drive --mix.options.goal-kind order | there are no routes
evaluate --task drive --options.routes all --options.shown left-left-left | nothing is demonstrated
evaluate --task drive --options.routes left-left | needs 3 turns
evaluate --episodes 0 | --episodes
evaluate --episodes 99999999 | --episodes
evaluate --seed-offset -1 | --seed-offset
evaluate --speed 0 | --speed
evaluate --speed 1000 | --speed
evaluate --preset nosuch | nosuch
evaluate --workers 0 | --workers
evaluate --width 1 | --width
evaluate --control-hz 241 | --control-hz
grid --episodes 0 | --episodes
grid --speeds 0 | --speeds
grid --densities 7 | --densities is 7.0; allowed: 0 to 0.25
grid --workers 0 | --workers
demo --size 1x1 | 320x180 to 3840x2160
demo --size large | 'large'
demo --episodes 0 | --episodes
demo --roads -1 | --roads
demo --videos -1 | --videos
demo --seconds 0 | --seconds
demo --workers 0 | --workers
report {evaluation} --failures -1 | --failures
report {evaluation} --seconds 0 | --seconds is 0.0; allowed: 0.5 to 60
report {evaluation} --seconds nan | --seconds is nan
report {evaluation} --max-mb 0 | --max-mb
report {evaluation} --replays -1 | --replays
report {evaluation} --size 1x1 | '1x1'
replay {evaluation} --fps 0 | --fps is 0; allowed: 1 to 120
replay {evaluation} --gif-width 1 | --gif-width
replay {evaluation} --gif-fps 99 | --gif-fps
replay {evaluation} --gif-mb 0 | --gif-mb
replay {evaluation} --moments 2 | --moments
replay {evaluation} --reel-clips 0 | --reel-clips
replay {evaluation} --slow 0.5 | --slow
replay {evaluation} --last 0 | --last
replay {evaluation} --worst -1 | --worst
replay {evaluation} --best -1 | --best
replay {evaluation} --seed -1 | --seed
replay {evaluation} --size 1x1 | '1x1'
replay {evaluation} --workers 0 | --workers
inspect {data} --replays -1 | --replays
inspect {data} --human-delay 9 | --human-delay
relabel {data} --out out --episodes 0 | --episodes
relabel {data} --out out --rounds -1 | --rounds
relabel {data} --out out --delay 99 | delay is '99'
relabel {data} --out out --delay soon | delay is 'soon'
relabel {data} --out out --screen.port 99999 | --screen.port is 99999; allowed: 0 to 65,535
relabel {data} --out out --screen.quality 100 | --screen.quality
relabel {data} --out out --screen.size 1x1 | '1x1'
relabel {data} --out out --screen.host '' | host
export {data} --out new --to.valid-share 1 | --to.valid-share
export {data} --out new --to.seed -1 | --to.seed
bench env --seconds 0 | --seconds
bench env --seconds -1 | --seconds
bench env --seeds 0 | --seeds
bench env --contended | contended
study gates --seeds 0 | --seeds
study gates --labels 0 | --labels
study gates --most-episodes 9999 | 10000
study gates --density 3 | --density
study three-cameras --demonstrations 4 4 | ascending
study three-cameras --demonstrations 0 | --demonstrations
study dagger-road --drives 0 | --drives
study keyboard --reaction 9 | --reaction
study memory --dropped 0.5 0.25 | ascending
study memory --demonstrations 10001 | 10000
study compounding-error --horizon 50 | horizon
study compounding-error --test-roads 1 | --test-roads

# NaN and infinity, wherever a number is taken.
train --learning-rate nan | --learning-rate is nan
train --learning-rate inf | --learning-rate is inf
train --weight-decay nan | --weight-decay is nan
train --warmup-fraction nan | --warmup-fraction
train --grad-clip nan | --grad-clip
train --ema-decay nan | --ema-decay
train --human-delay nan | --human-delay
train --cache-gb inf | --cache-gb
train --policy.head.clip nan | --policy.head.clip
train --policy.chunk-decay nan | --policy.chunk-decay
dagger --stop-when nan | --stop-when
dagger --beta-decay nan | --beta-decay
collect --out out --mix.speeds nan nan | --mix.speeds
collect --out out --mix.options.density nan | --mix.options.density
collect --out out --task drive --mix.options.length nan | --mix.options.length
evaluate --speed nan | --speed
grid --speeds inf | --speeds
grid --densities nan | --densities
demo --seconds inf | --seconds
replay {evaluation} --slow nan | --slow
relabel {data} --out out --delay nan | delay
bench env --seconds nan | --seconds
study gates --speed nan | --speed

# Options that do not go together.
replay {evaluation} --side-by-side | side_by_side
replay {evaluation} --slow 4 | slow has no effect
replay {evaluation} --last 3 | last has no effect
replay {evaluation} --reel film.avi | film.avi
replay {evaluation} --reel film.mp4 --worst 3 | --reel-clips
replay {evaluation} --rerun film.mp4 | film.mp4
relabel {data} | --out
relabel {data} --out out --shift-only | --shift-only

# Config files.
train --config nowhere.yaml | nowhere.yaml
train --config {policy} | policy
train --config {list} | list.yaml must hold a mapping
train --config {broken} | broken.yaml is not valid YAML
train --config {unknown} | unknown.yaml: stepps is an unknown key; did you mean 'steps'
train --config {unknown_inside} | unknown_inside.yaml: policy.featurs
train --config {wrong_type} | wrong_type.yaml: steps must be int
train --config {wrong_list} | wrong_list.yaml: data must be a list
train --config {nan} | nan.yaml: weight_decay is nan; allowed: 0 to 100
train --config {infinite} | infinite.yaml: learning_rate is inf
train --config {negative} | negative.yaml: policy.features is -1; allowed: 1 to 2,048
train --config {zeros} | zeros.yaml: policy.encoder.channels is 0 0 0
train --config {bool} | bool.yaml: steps must be int
train --config {text_seed} | text_seed.yaml: seed must be int
train --config {huge} | huge.yaml: steps is
train --config {deep} | deep.yaml
train --config {laughs} | laughs.yaml
train --config {merges} | merges.yaml
train --config {object} | object.yaml
train --config {date} | date.yaml
train --config {cycle} | cycle.yaml
train --config {long} | long.yaml
train --config {binary} | binary.yaml
train --config {part} | 'nosuch'
train --config {part_option} | bins
train --config {no_mapping} | no_mapping.yaml: policy
train --config {combination} | shards is 5
train --config {null} | null.yaml: steps
evaluate --config {options} | length

# Files and folders that are missing, of another kind, or damaged.
train | dataset
train --data nowhere | nowhere is no dataset
train --data {note} | note.txt
train --data {policy} | is no dataset
train --data {empty} | empty
train --data {no_json} | dataset.json
train --data {wrong_json} | dataset.json
train --data {deep_json} | dataset.json
train --data {large_json} | dataset.json
train --data {newer} | format version 99
train --data {wrong_spec} | task spec
train --data {none} | none
evaluate --policy nowhere --out out | nowhere
evaluate --policy {note} --out out | note.txt
evaluate --policy {data} --out out | data
evaluate --policy {cut} --out out | policy.safetensors
evaluate --policy {nan_weights} --out out | policy.safetensors
evaluate --policy lerobot:nowhere --out out | nowhere is no policy of LeRobot
evaluate --policy {large_weights} --out out | policy.safetensors
evaluate --policy {no_weights} --out out | policy.safetensors
evaluate --policy {other_policy} --out out | policy.json
evaluate --policy {list_policy} --out out | policy.json
evaluate --policy {deep_policy} --out out | policy.json
evaluate --policy a=b=c --out out | policy
grid --policy nowhere --out out | nowhere
replay nowhere | nowhere
replay {data} | data
replay {note} | note.txt
replay {evaluation} --seed 77 | 77
replay {evaluation} --policy nosuch | nosuch
replay {bomb} | npz
replay {declared} | npz
replay {not_a_zip} | npz
replay {no_outcomes} | outcomes.csv
replay {binary_outcomes} | outcomes.csv
replay {large_outcomes} | outcomes.csv
replay {nan_actions} | npz
report nowhere | nowhere
report {data} | data
report {empty} | empty
report {note} | note.txt
inspect nowhere | nowhere
inspect {policy} | policy
inspect {note} | note.txt
inspect {no_json} | dataset.json
export nowhere --out new | nowhere
export {data} --out {note} | note.txt
export {data} --out {policy} | policy
export {note} --out new | note.txt
relabel nowhere --out out | nowhere

# Trackers.
train --log nosuch | there is no tracker 'nosuch'
dagger --train.log tensorbord | did you mean 'tensorboard'

# Clusters.
collect --pool slurm --out out | there is no pool 'slurm'
collect --pool.address auto --out out | --pool.address
collect --pool ray --pool.tasks -1 --out out | --pool.tasks
collect --pool ray --pool.address 127.0.0.1:1 --out out | no Ray cluster can be reached at 127.0.0.1:1
evaluate --pool ray --pool.address 127.0.0.1:1 --out out | no Ray cluster can be reached at 127.0.0.1:1
dagger --pool ray --pool.address 127.0.0.1 --out out | give HOST:PORT
study noise --pool ray --pool.address ray://127.0.0.1:1 --out out | one for Ray's client
grid --pool ray --pool.address 127.0.0.1:1 --out out | no Ray cluster can be reached at 127.0.0.1:1
demo --pool ray --pool.address 127.0.0.1:1 --out out | no Ray cluster can be reached at 127.0.0.1:1
relabel {data} --shift-only | relabel
relabel {data} --out {policy} | policy
collect --out {policy} | policy
collect --out {note} | note.txt
"""


def _lines() -> Iterator[tuple[str, str]]:
    for line in CASES.splitlines():
        if line and not line.startswith("#"):
            command, _, says = line.rpartition(" | ")
            yield command, says


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the cases name."""
    root = tmp_path_factory.mktemp("given")
    for name, text in CONFIGS.items():
        (root / f"{name}.yaml").write_text(text)
    (root / "note.txt").write_text("a note")
    (root / "empty").mkdir()
    _make_datasets(root)
    _make_policies(root)
    _make_evaluations(root)
    return root


def _make_datasets(root: Path) -> None:
    dataset = Dataset.create(root / "data", small_spec(), ENV_ID)
    dataset.add(make_episode(1))
    Dataset.create(root / "none", small_spec(), ENV_ID)
    described = json.loads((root / "data" / "dataset.json").read_text())
    spec = {**described["task_spec"], "image_height": 2**31}
    texts = {
        "no_json": '{"format": ',
        "wrong_json": "[1, 2]",
        "deep_json": "[" * 100_000,
        "large_json": json.dumps(described) + " " * 9_000_000,
        "newer": json.dumps(described | {"schema_version": 99}),
        "wrong_spec": json.dumps(described | {"task_spec": spec}),
    }
    for name, text in texts.items():
        (root / name / "episodes").mkdir(parents=True)
        (root / name / "dataset.json").write_text(text)


def _make_policies(root: Path) -> None:
    import torch

    config = PolicyConfig(view=ViewConfig(height=12, width=16), features=4, memory=NoMemoryConfig(), window=1)
    policy = VisuomotorPolicy(config, spec_of("drone"))
    save_policy(root / "policy", policy)
    with torch.no_grad():
        next(policy.parameters()).fill_(float("nan"))
    save_policy(root / "nan_weights", policy)
    for name in ("cut", "large_weights", "no_weights", "other_policy", "list_policy", "deep_policy"):
        shutil.copytree(root / "policy", root / name)
    weights = (root / "policy" / "policy.safetensors").read_bytes()
    (root / "cut" / "policy.safetensors").write_bytes(weights[:-9])
    with (root / "large_weights" / "policy.safetensors").open("r+b") as file:
        file.truncate(2**36)  # sparse
    (root / "no_weights" / "policy.safetensors").unlink()
    (root / "other_policy" / "policy.json").write_text('{"format": "something else"}')
    (root / "list_policy" / "policy.json").write_text("[]")
    (root / "deep_policy" / "policy.json").write_text("[" * 100_000)


def _make_evaluations(root: Path) -> None:
    names = (
        "evaluation",
        "bomb",
        "declared",
        "not_a_zip",
        "no_outcomes",
        "binary_outcomes",
        "large_outcomes",
        "nan_actions",
    )
    for name in names:
        shutil.copytree(EVALUATION_OF_0_1, root / name)
    for path in _stored(root / "bomb"):
        _write_npz(path, {"meta": _npy("<f4", (10,), b"\0" * 10**8)})
    for path in _stored(root / "declared"):
        _write_npz(path, {"meta": _npy("<f4", (10**10,), b"")})
    for path in _stored(root / "not_a_zip"):
        path.write_bytes(b"not a zip")
    for path in _stored(root / "nan_actions"):
        with np.load(path) as arrays:
            values = dict(arrays)
        np.savez_compressed(path, **{**values, "actions": values["actions"] * np.float32("nan")})
    (root / "no_outcomes" / "outcomes.csv").unlink()
    (root / "binary_outcomes" / "outcomes.csv").write_bytes(b"\x00\xff" * 100)
    with (root / "large_outcomes" / "outcomes.csv").open("r+b") as file:
        file.truncate(2**40)  # sparse


def _stored(evaluation: Path) -> list[Path]:
    return sorted(evaluation.rglob("*.npz"))


def _write_npz(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def _npy(descr: str, shape: tuple[int, ...], content: bytes) -> bytes:
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape!r}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + content


def _state_of(*folders: Path | str) -> dict[str, tuple[int, int]]:
    """Size and time of every file, and every folder."""
    found = {}
    for folder in folders:
        for entry in os.scandir(folder):
            if entry.is_dir():
                found |= {entry.path: (0, 0), **_state_of(entry.path)}
            elif entry.name != ".lock":
                about = entry.stat(follow_symlinks=False)
                found[entry.path] = (about.st_size, about.st_mtime_ns)
    return found


@pytest.mark.parametrize(("command", "says"), list(_lines()))
def test_bad_input_is_refused_in_one_line(
    command: str, says: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {path.stem: str(path) for path in folder.iterdir()}
    before = _state_of(folder, tmp_path)
    code = cli.main([word.format_map(places) for word in shlex.split(command)])
    told = [line for line in capsys.readouterr().err.splitlines() if not line.endswith(": starting up")]
    assert code in (1, 2), told
    assert len(told) == 1, told
    assert says in told[0] and told[0].startswith("forestpilot")
    assert _state_of(folder, tmp_path) == before


def test_there_are_more_than_two_hundred_and_every_verb_has_some() -> None:
    commands = [command for command, _ in _lines()]
    assert len(commands) == len(set(commands)) > 200
    verbs = {command.partition(" ")[0] for command in commands}
    assert verbs >= {line.name for line in cli.verb_lines()}
