import { expect } from "chai";
import type { Container, PublishedPort } from "../docker/inspect.ts";
import { tagTemplate, templateTags } from "./tags.ts";

const port: PublishedPort = {
  ...{ exposed: "80", protocol: "tcp" },
  host: { ip: "0.0.0.0", port: 31001 },
};
const container: Container = {
  ...{ id: "e20f9c1a76565d62", name: "shop", hostname: "inside", image: "team/shop:2" },
  ...{ imageId: "sha256:0123", running: true, paused: false, exitCode: 0, health: null },
  ...{ stopSignal: "", stopTimeoutSeconds: null, networkMode: "backend" },
  env: ["ENVIRONMENT=test", "SERVICE_NAME=foo", "EMPTY=", "LIST=a,b"],
  labels: { "com.example.arn": "arn:aws:task/368f", color: "Blue" },
  ports: [port],
  addresses: new Map([["backend", "10.1.2.3"]]),
};

function tags(source: string): readonly string[] {
  return templateTags(tagTemplate(source), container, port);
}

describe("the tags of --tags", () => {
  const cases: readonly [string, readonly string[]][] = [
    ["", []],
    ["all,b\\,c", ["all", "b,c"]],
    ["{{.Name}}", ["/shop"]],
    ["{{slice .Name 1}},{{strSlice .ID 0 12}}", ["shop", "e20f9c1a7656"]],
    ["port-{{.Published.HostPort}}", ["port-31001"]],
    ["{{.Published.ExposedPort}}/{{.Published.PortType}}", ["80/tcp"]],
    ['{{index .Env "ENVIRONMENT"}}', ["test"]],
    ['{{ index .Env "NONE" }},x', ["x"]],
    ['{{index .Labels "com.example.arn"}}', ["arn:aws:task/368f"]],
    ["{{.Labels.color}},{{.Env.NONE}}", ["Blue"]],
    ['{{mIndex "color" .Config.Labels | toLower}}', ["blue"]],
    [
      "{{sIndex 0 .Config.Env}},{{sIndex -1 .Config.Env | toUpper}}",
      ["ENVIRONMENT=test", "LIST=A", "B"],
    ],
    ['{{replace -1 "o" "0" "foo"}},{{replace 1 "o" "0" "foo"}}', ["f00", "f0o"]],
    ['{{splitIndex -1 "/" (index .Labels "com.example.arn")}}', ["368f"]],
    ['{{join "+" (split "," .Env.LIST)}}', ["a+b"]],
    ['{{matchFirstElement "^SERVICE_" .Config.Env}}', ["SERVICE_NAME=foo"]],
    ['{{len (matchAllElements "^E" .Config.Env)}}', ["2"]],
    ['{{jsonParse `{"a":{"b":"c"}}` "a::b"}}', ["c"]],
    ["{{.NetworkSettings.Networks.backend.IPAddress}}", ["10.1.2.3"]],
    ["{{.NetworkSettings.Networks.none.IPAddress}}x", ["x"]],
    [
      "{{.HostConfig.NetworkMode}},{{.Config.Hostname}},{{.Config.Image}}",
      ["backend", "inside", "team/shop:2"],
    ],
    ['{{if eq .Env.ENVIRONMENT "prod" "test"}}yes{{else}}no{{end}}', ["yes"]],
    ["{{if .Env.EMPTY}}a{{else if .Env.LIST}}b{{else}}c{{end}}", ["b"]],
    ["{{if not .Env.EMPTY}}a{{if .Env.EMPTY}}b{{end}}{{end}}", ["a"]],
    ["a  {{- /* a comment */ -}}  ,b", ["a", "b"]],
    ["x {{- .Labels.color -}} y", ["xBluey"]],
    ['{{printf "%s-%d-%q" .Env.ENVIRONMENT 3 "x" | print}}', ['test-3-"x"']],
    ["{{or .Env.NONE .Labels.color}},{{and .Env.NONE true}}", ["Blue"]],
    ["{{.Config.Env | len}}", ["4"]],
  ];
  for (const [source, expected] of cases)
    it(`reads ${JSON.stringify(source)}`, () => {
      expect(tags(source)).to.deep.equal(expected);
    });

  const wrong: readonly [string, RegExp][] = [
    ["{{.Nonsense}}", /has no field \.Nonsense; there are ID, Id, Name, /],
    ["{{.Config.Nonsense}}", /has no field \.Config\.Nonsense; there are Hostname, /],
    ["{{.Name.First}}", /has no field \.Name\.First/],
    ["{{.NetworkSettings.Networks.x.Nonsense}}", /has no field .*Nonsense/],
    ["{{if .Env.X}}a", /\{\{if\}\} has no \{\{end\}\}/],
    ["a{{end}}", /\{\{end\}\} has no \{\{if\}\}/],
    ["{{range .Config.Env}}x{{end}}", /\{\{range\}\} is not supported/],
    ["{{$x := 1}}", /variables are not supported/],
    ["{{.Name", /"\{\{" at character 1 is not closed/],
    ["{{}}", /empty/],
    ["{{index .Env}", /cannot be read from "\}"/],
    ["{{nonsense .Name}}", /nonsense is no function; there are index, /],
    ["{{constructor .Name}}", /constructor is no function/],
    ['{{httpGet "http://example.com"}}', /httpGet is refused: a registration does not wait/],
    ['{{replace "a" .Name}}', /gives replace 2 arguments; it takes 4/],
    ["{{.Name .ID}}", /gives arguments to "\.Name", which is no function/],
    ["{{.Name | .ID}}", /no function behind "\|"/],
    ["{{(.Name}}", /a "\(" without its "\)"/],
    ["{{.Name)}}", /a "\)" too many/],
    [`{{"${"x".repeat(5000)}"}}`, /longer than 4096 characters/],
    [`${"{{if .Name}}".repeat(30)}`, /more than 20 blocks/],
    [`{{${"(".repeat(30)}.Name${")".repeat(30)}}}`, /more than 20 brackets/],
  ];
  for (const [source, says] of wrong)
    it(`are refused before any container is there: ${JSON.stringify(source.slice(0, 40))}`, () => {
      expect(() => tagTemplate(source)).to.throw(says);
    });

  const unfit: readonly [string, RegExp][] = [
    ["{{index .Config.Env 9}}", /takes index 9 of something with 4 elements/],
    ["{{index .Name .Env}}", /takes a number/],
    ["{{slice .Env.ENVIRONMENT 9}}", /takes 9 to 4 of something/],
    ["{{.Config}}", /prints a whole structure/],
    ['{{printf "%x" 1}}', /printf knows/],
    ['{{matchFirstElement "(a+)+$" .Config.Env}}', /at most 2 repetitions, none of a group/],
    ['{{matchFirstElement "a*b*c*" .Config.Env}}', /at most 2 repetitions/],
    ['{{matchFirstElement "[" .Config.Env}}', /cannot be read/],
    ['{{jsonParse .Name "a"}}', /no JSON/],
    ["{{toUpper .Config.Env}}", /takes a text, not a list/],
  ];
  for (const [source, says] of unfit)
    it(`are refused with the container's values: ${source}`, () => {
      expect(() => tags(source)).to.throw(says);
    });
});
