import './models.css';

import type { schema } from '@neurogrid/sdk';
import { useSearchParams } from 'react-router';

import { useApi } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { Page } from '../../design/Page';
import { Empty, Loaded } from '../../design/states';
import { Table } from '../../design/Table';
import { Chat } from './Chat';
import { Embedding } from './Embedding';
import { Picture } from './Picture';
import { Transcription } from './Transcription';
import { prices, way } from './models';

/** Which models there are, and a place to try each. */
export default function ModelsPage() {
  const models = useApi<schema.ModelListView>('/api/v1/models', { every: 15_000 });
  return (
    <Page title="Models" lead="Open models that nodes of this market compute. Programs ask them by the OpenAI tools, at /v1 of this address.">
      <Loaded query={models} what="Looking for models">
        {(list) => <Models models={list.models} />}
      </Loaded>
    </Page>
  );
}

function Models({ models }: { models: readonly schema.ModelView[] }) {
  const [params, setParams] = useSearchParams();
  const chosen = models.find(({ id }) => id === params.get('model')) ?? models[0];
  if (chosen === undefined) return <Empty>This coordinator has no models. Its operator lists them in models.toml (docs/models.md).</Empty>;
  return (
    <>
      <Try key={chosen.id} model={chosen} />
      <Card title="All models">
        <Table
          caption="Models"
          rows={models}
          keyOf={({ id }) => id}
          columns={[
            { name: 'Model', cell: ({ id }) => <code>{id}</code>, by: ({ id }) => id },
            { name: 'Makes', cell: ({ type }) => type, by: ({ type }) => type },
            { name: 'Size', cell: ({ parameters }) => parameters.size },
            { name: 'Context', cell: ({ parameters }) => parameters.context_length ?? '–', by: ({ parameters }) => parameters.context_length, numeric: true },
            { name: 'Costs', cell: (model) => prices(model).map((line) => <div key={line}>{line}</div>) },
            { name: 'Warm now', cell: ({ replicas }) => (replicas === null ? '–' : `${replicas.ready} of ${replicas.most}`), by: ({ replicas }) => replicas?.ready ?? null, numeric: true },
            { name: 'Licence', cell: ({ licence }) => licence, by: ({ licence }) => licence },
            {
              name: 'Try',
              cell: ({ id }) => (
                <Button kind="quiet" aria-label={`Try ${id}`} aria-pressed={id === chosen.id} onClick={() => { setParams({ model: id }); scrollTo(0, 0); }}>
                  Try
                </Button>
              ),
            },
          ]}
        />
      </Card>
    </>
  );
}

function Try({ model }: { model: schema.ModelView }) {
  const kind = way(model);
  return (
    <>
      <p className="muted">
        <strong>{model.name}</strong>: {model.description} {prices(model).join(', ')}.
        {model.replicas?.ready === 0 && ' None is warm: the first answer takes until one is.'}
      </p>
      {kind === 'chat' && <Chat model={model} />}
      {kind === 'image' && <Picture model={model} />}
      {kind === 'transcription' && <Transcription model={model} />}
      {kind === 'embedding' && <Embedding model={model} />}
    </>
  );
}
