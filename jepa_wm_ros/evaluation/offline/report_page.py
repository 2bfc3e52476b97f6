# SPDX-License-Identifier: Apache-2.0
"""The Jinja template of report.html."""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Offline evaluation: {{ plan.models | map('short') | join(', ') }}</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
         max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.6rem; margin-bottom: .2rem; }
  h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid #ddd; }
  h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .86rem; }
  th, td { padding: .25rem .7rem .25rem 0; text-align: left; white-space: nowrap;
           border-bottom: 1px solid #eee; }
  tr.baseline { color: #777; }
  .wide { overflow-x: auto; }
  .note { color: #555; font-size: .88rem; }
  .fault { color: #a11; }
  img { max-width: 100%; height: auto; }
  figure { margin: .4rem 0; }
  figcaption { font-size: .82rem; color: #555; }
</style>
</head>
<body>
<h1>Offline evaluation</h1>
<p class="note">{{ plan.models | map('short') | join(', ') }} with
{{ plan.planners | map('short') | join(', ') }} on
{{ bags | map(attribute='name') | join(', ') }}; goal {{ plan.horizon }} steps ahead;
seeds {{ plan.seeds | join(', ') }}. Brackets are 95 % bootstrap intervals over clips.</p>

<h2>Action Score</h2>
<p class="note">max(0, 800 (0.1 &minus; E)), at most {{ score_max | int }}; E is the mean over clips
of |planned &minus; expert| summed over x, y, z after {{ plan.horizon }} steps. The expert is the
ceiling; zero stands still; random draws within the planner's bounds.</p>
<div class="wide"><table>
<tr><th>model<th>planner<th>clips<th>Action Score<th>xyz error [cm]<th>orientation [rad]
<th>closure<th>cost<th>s / plan<th>evaluations<th>score of each seed</tr>
{% for r in summary.results %}
<tr{% if r.baseline %} class="baseline"{% endif %}>
<td>{{ r.model | short }}<td>{{ r.planner | short }}
<td>{{ r.clips }}<td><b>{{ r.score | interval(1) }}</b><td>{{ r.e_xyz | interval(2, 100) }}
<td>{{ r.e_orientation | interval(3) }}<td>{{ r.e_closure | interval(2) }}
<td>{{ r.cost | interval(4) }}
<td>{{ '–' if r.baseline else '%.2f' | format(r.seconds) }}
<td>{{ '–' if r.baseline else '%.0f' | format(r.evaluations) }}
<td>{% for seed, score in r.seed_scores.items() %}{{ '%.1f' | format(score) }} {% endfor %}</tr>
{% endfor %}
</table></div>
{% if strip %}
<figure><img src="{{ strip }}" alt="Position error of every clip"></figure>
{% endif %}

{% if summary.comparisons %}
<h2>Paired differences</h2>
<p class="note">On the clips both have. Above zero, the first has the better score.</p>
<div class="wide"><table>
<tr><th>first<th>second<th>clips<th>Action Score<th>xyz error [cm]</tr>
{% for c in summary.comparisons %}
<tr><td>{{ c.first }}<td>{{ c.second }}<td>{{ c.clips }}<td><b>{{ c.score | interval(1) }}</b>
<td>{{ c.e_xyz | interval(2, 100) }}</tr>
{% endfor %}
</table></div>
{% endif %}

{% for m in models %}
<h2>{{ m.name | short }}</h2>
{% if m.costs %}
<h3>Cost along the rollout</h3>
<figure><img src="{{ m.costs }}" alt="Cost to the goal over the horizon"></figure>
{% endif %}
{% if m.errors %}
<h3>Imagined against recorded</h3>
<p class="note">The expert's actions imagined from the first frame, compared with what was
recorded.</p>
<figure><img src="{{ m.errors }}" alt="Embedding error over the horizon"></figure>
{% endif %}
{% if m.paths %}
<h3>Expert and planned paths</h3>
<figure><img src="{{ m.paths }}" alt="Hand paths in three dimensions"></figure>
{% endif %}
{% endfor %}

{% if illustrations.films %}
<h2>Filmstrips</h2>
{% for note in illustrations.notes %}<p class="note">{{ note }}</p>{% endfor %}
{% for film in illustrations.films %}
<h3>{{ film.title }}</h3>
{% for caption, picture in film.rows %}
<figure><img src="{{ picture | picture }}" alt="{{ caption }}"><figcaption>{{ caption }}
</figcaption></figure>
{% endfor %}
{% endfor %}
<h2>Counterfactuals</h2>
<p class="note">The same frame imagined under two hard-coded action sequences that differ in the
gripper alone.</p>
{% for strip in illustrations.counterfactuals %}
<h3>{{ strip.title }}</h3>
{% for caption, picture in strip.rows %}
<figure><img src="{{ picture | picture }}" alt="{{ caption }}"><figcaption>{{ caption }}
</figcaption></figure>
{% endfor %}
{% endfor %}
{% endif %}

<h2>Recordings and coverage</h2>
{% for bag in bags %}
<h3>{{ bag.name }}</h3>
{% set c = bag.coverage %}
<table>
<tr><td>path<td>{{ bag.path }}</tr>
<tr><td>from<td>{{ bag.sources }}</tr>
<tr><td>frames read<td>{{ c.frames }} of {{ c.frames_promised }}, at
{{ '%.2f' | format(c.rate) }} Hz with {{ '%.1f' | format(c.jitter * 1000) }} ms jitter,
about {{ c.frames_dropped }} dropped, {{ c.frames_without_state }} without a state</tr>
<tr><td>gaps<td>{{ c.gaps }}{% if c.gaps %}, longest {{ '%.2f' | format(c.longest_gap) }} s
{% endif %}</tr>
<tr><td>model steps usable<td>{{ c.steps_usable }} of {{ c.steps }}
({{ '%.1f' | format(c.fraction * 100) }} %), {{ '%.1f' | format(c.grid_jitter * 1000) }} ms from
the grid</tr>
<tr><td>clips<td>{{ bag.clips }} evaluated, {{ c.clips }} complete, {{ c.clips_possible }} without
holes</tr>
</table>
{% for finding in bag.findings %}
<p class="note{% if finding.fault %} fault{% endif %}">{{ finding }}</p>
{% endfor %}
{% endfor %}
{% for reason, count in summary.failed.items() %}
<p class="note fault">{{ count }} clips could not be evaluated: {{ reason }}</p>
{% endfor %}
{% for line in lines %}<p class="note">{{ line }}</p>{% endfor %}
</body>
</html>
"""
