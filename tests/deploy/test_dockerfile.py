"""deploy/Dockerfile, as far as it can be judged without a daemon: its instructions, what it copies, the packages' names."""
import os
import re
import subprocess

import pytest
from places import ROOT, WORKER

KNOWN = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "LABEL", "RUN", "STOPSIGNAL", "USER", "WORKDIR"}


def parse(text: str) -> list[tuple[str, str]]:
    """Instructions with their words, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in joined.splitlines()]


@pytest.fixture(scope="module")
def stages() -> list[dict]:
    """Each stage: its name and its instructions."""
    found = []
    for instruction, words in parse((ROOT / "deploy/Dockerfile").read_text()):
        assert instruction in KNOWN, instruction
        if instruction == "FROM":
            image, *alias = re.split(r"\s+AS\s+", words)
            found.append({"image": image, "name": alias[0] if alias else None, "instructions": []})
        else:
            found[-1]["instructions"].append((instruction, words))
    return found


def words_of(stage: dict, instruction: str) -> list[str]:
    return [words for name, words in stage["instructions"] if name == instruction]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps the path from the build: the last rule that fits decides."""
    verdict = False
    for rule in (ROOT / ".dockerignore").read_text().split("\n"):
        if rule and not rule.startswith("#"):
            name = rule.removeprefix("!")
            if name == "*" or path == name or path.startswith(name + "/"):
                verdict = not rule.startswith("!")
    return verdict


def test_both_stages_are_debian_13(stages):
    assert [stage["image"] for stage in stages] == ["debian:trixie-slim"] * 2


def test_what_is_copied_is_there(stages):
    earlier: list[str] = []
    for stage in stages:
        for words in words_of(stage, "COPY"):
            *sources, _ = [word for word in words.split() if not word.startswith("--")]
            origin = re.search(r"--from=(\S+)", words)
            if origin:
                assert origin[1] in earlier, f"COPY {words}: there is no earlier stage {origin[1]}"
                continue
            for source in sources:
                assert (ROOT / source).exists(), f"COPY {words}: {source} is not there"
                assert not ignored(source), f"COPY {words}: .dockerignore keeps {source} out"
        earlier.append(stage["name"])


def test_nothing_but_sources_reaches_the_build():
    for path in (".git", "build", "config.json", ".env", "tests", "deploy/demo"):
        assert ignored(path), path


def test_the_last_stage_takes_what_the_first_installs(stages):
    prefix = re.search(r"--prefix (\S+)", " ".join(words_of(stages[0], "RUN")))[1]
    copied = [words for words in words_of(stages[-1], "COPY")]
    assert [words.split()[1] for words in copied] == [f"{prefix}/bin/e2b-worker"]
    target = copied[0].split()[2]
    assert words_of(stages[-1], "ENTRYPOINT") == [f'["{target}", "run"]']


def test_it_does_not_run_as_root(stages):
    user, group = words_of(stages[-1], "USER")[-1].split(":")
    assert int(user) > 0 and int(group) > 0, "a number, so that Kubernetes can see that it is not root"


def test_the_list_of_build_packages_stands_once(stages):
    assert words_of(stages[0], "RUN")[0].endswith("deploy/install build")
    assert "apt-get" not in " ".join(words_of(stages[0], "RUN"))


@pytest.fixture(scope="module")
def trixie(tmp_path_factory) -> list[str]:
    """apt's options for asking about Debian 13 on a host of any release, from the mirror that the host uses."""
    folder = tmp_path_factory.mktemp("trixie")
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages",
                             "Origin: Debian", "Label: Debian"], check=True, capture_output=True, text=True).stdout
    mirror = next(line.split()[0] for line in listed.splitlines() if line.endswith(" main"))
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "sources.list").write_text(
        f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} trixie main\n")
    (folder / "status").touch()
    options = {"Dir::Etc::sourcelist": folder / "sources.list", "Dir::Etc::sourceparts": "-",
               "Dir::State::lists": folder / "lists", "Dir::State::status": folder / "status",
               "Dir::Cache": folder, "APT::Sandbox::User": "root" if os.getuid() == 0 else ""}
    words = [word for name, value in options.items() if str(value) for word in ("-o", f"{name}={value}")]
    subprocess.run(["apt-get", *words, "update", "-qq"], check=True, timeout=240)
    return words


@pytest.mark.timeout(300)
def test_every_package_exists_in_debian_13(stages, trixie):
    install = (ROOT / "deploy/install").read_text()
    build = re.search(r"^build=\((.*?)\)", install, re.MULTILINE | re.DOTALL)[1].split()
    run = next(words for words in words_of(stages[-1], "RUN") if "install" in words)
    runtime = run.split("--no-install-recommends")[1].split("&&")[0].split()
    assert len(runtime) > 5
    for package in build + runtime:
        found = subprocess.run(["apt-cache", *trixie, "show", package], capture_output=True, text=True)
        assert found.returncode == 0, f"{package}: Debian 13 has no such package"


def test_the_runtime_packages_are_those_of_the_program(stages):
    """Each library that the program names as needed has its package in the list, under Debian 13's name for it."""
    needed = set(re.findall(r"NEEDED\s+lib([a-z0-9_-]+?)\.so", subprocess.run(["objdump", "-p", WORKER], check=True,
                                                                              capture_output=True, text=True).stdout))
    packages = {"rdkafka": "librdkafka1", "hiredis": "libhiredis1.1.0", "curl": "libcurl4t64", "jansson": "libjansson4",
                "microhttpd": "libmicrohttpd12t64", "uv": "libuv1t64", "uuid": "libuuid1", "crypto": "libssl3t64"}
    of_the_system = {"c", "m", "asan", "ubsan", "gcc_s"}
    assert needed - of_the_system <= packages.keys(), "a new library: its package belongs into deploy/Dockerfile"
    listed = (ROOT / "deploy/Dockerfile").read_text()
    assert [packages[name] for name in sorted(needed - of_the_system) if packages[name] not in listed.split()] == []
