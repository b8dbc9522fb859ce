import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function OperatorPage() {
  return (
    <Page title="Operator">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
