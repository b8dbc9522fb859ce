/** Fields of forms: each has a label, perhaps a hint, and its error beside it, told to screen readers with it. */
import { useId, type InputHTMLAttributes, type ReactNode, type TextareaHTMLAttributes } from 'react';

interface Common {
  label: string;
  hint?: ReactNode;
  /** What is wrong with it; empty: nothing. */
  error?: string;
}

interface FieldProps extends Common {
  children: (props: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': true | undefined }) => ReactNode;
}

/** Any control with its label: `<Field label="…">{(props) => <input {...props} />}</Field>`. */
export function Field({ label, hint, error = '', children }: FieldProps) {
  const id = useId();
  const described = [hint !== undefined && `${id}-hint`, error !== '' && `${id}-error`].filter(Boolean).join(' ');
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': described || undefined, 'aria-invalid': error !== '' || undefined })}
      {hint !== undefined && (
        <small id={`${id}-hint`} className="muted">
          {hint}
        </small>
      )}
      {error !== '' && (
        <small id={`${id}-error`} className="field-error" role="alert">
          {error}
        </small>
      )}
    </div>
  );
}

type TextProps = Common &
  Omit<InputHTMLAttributes<HTMLInputElement>, 'value' | 'onChange' | 'id'> & {
    value: string;
    onChange: (value: string) => void;
  };

/** A line of text, or a number as text: money and times are never floats. */
export function TextField({ label, hint, error, value, onChange, ...rest }: TextProps) {
  return (
    <Field label={label} hint={hint} {...(error !== undefined && { error })}>
      {(props) => (
        <input type="text" spellCheck={false} value={value} onChange={(event) => { onChange(event.target.value); }} {...rest} {...props} />
      )}
    </Field>
  );
}

type AreaProps = Common &
  Omit<TextareaHTMLAttributes<HTMLTextAreaElement>, 'value' | 'onChange' | 'id'> & {
    value: string;
    onChange: (value: string) => void;
  };

export function AreaField({ label, hint, error, value, onChange, ...rest }: AreaProps) {
  return (
    <Field label={label} hint={hint} {...(error !== undefined && { error })}>
      {(props) => (
        <textarea rows={4} value={value} onChange={(event) => { onChange(event.target.value); }} {...rest} {...props} />
      )}
    </Field>
  );
}

interface SelectProps<V extends string> extends Common {
  value: V;
  onChange: (value: V) => void;
  /** Values and what they are called. */
  options: readonly (readonly [V, string])[];
}

export function SelectField<V extends string>({ label, hint, error, value, onChange, options }: SelectProps<V>) {
  return (
    <Field label={label} hint={hint} {...(error !== undefined && { error })}>
      {(props) => (
        <select value={value} onChange={(event) => { onChange(event.target.value as V); }} {...props}>
          {options.map(([each, text]) => (
            <option key={each} value={each}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface CheckProps {
  label: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
  disabled?: boolean;
}

export function CheckField({ label, checked, onChange, disabled = false }: CheckProps) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} disabled={disabled} onChange={(event) => { onChange(event.target.checked); }} />
      {label}
    </label>
  );
}
